// SPDX-License-Identifier: MIT
// Paths in configurations: where relative ones begin, and what is expanded in them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "cdm/config/config.h"
#include "config_test.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
namespace fs = std::filesystem;

/// Sets a variable of the environment, or unsets it, and puts it back afterwards.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* const before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) const {
    if (value == nullptr) {
      ::unsetenv(name_);
    } else {
      ::setenv(name_, value, 1);
    }
  }

  const char* name_;
  std::optional<std::string> before_;
};

class ConfigPaths : public test::ConfigTest {
 protected:
  std::string path(const std::string& written) const {
    return load(concat("data: {path: '", written, "'}\n")).data.path;
  }
};

TEST_F(ConfigPaths, BeginAtTheFileOfTheConfiguration) {
  const RunConfig config =
      load("data: {path: ../images, test_path: /data/./test}\n", {"data.test_path=here/there"});
  EXPECT_EQ(config.data.path, folder_.parent_path() / "images");
  EXPECT_EQ(config.data.test_path, fs::current_path() / "here/there");
  EXPECT_EQ(load("data: {test_path: /data/./test}\n").data.test_path, "/data/test");
  EXPECT_EQ(load("data: {path: \"\"}\n").data.path, "");

  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  EXPECT_EQ(load_config("a.yaml", {"data.path=b"}).data.path, folder_ / "b");
  test::overwrite("a.yaml", "data: {path: c}\n");
  EXPECT_EQ(load_config("a.yaml").data.path, folder_ / "c");
  fs::current_path(before);
}

TEST_F(ConfigPaths, BeginAtTheFolderAsNamedOrBehindItsLinks) {
  // shown/configs -> kept/configs; a.yaml there is a link, too.
  test::overwrite(folder_ / "kept/configs/b.yaml", "data: {path: ../data}\n");
  test::overwrite(folder_ / "files/a.yaml", "data: {path: ../data}\n");
  fs::create_symlink(folder_ / "files/a.yaml", folder_ / "kept/configs/a.yaml");
  fs::create_directory(folder_ / "shown");
  fs::create_directory_symlink("../kept/configs", folder_ / "shown/configs");
  const auto path_of = [&](const char* file) {
    return load_config(folder_ / "shown/configs" / file).data.path;
  };
  EXPECT_EQ(path_of("b.yaml"), folder_ / "shown/data");  // neither is there
  fs::create_directory(folder_ / "kept/data");
  EXPECT_EQ(path_of("b.yaml"), folder_ / "kept/data");
  fs::create_directory(folder_ / "data");
  EXPECT_EQ(path_of("a.yaml"), folder_ / "data");
  fs::create_directory(folder_ / "shown/data");
  EXPECT_EQ(path_of("a.yaml"), folder_ / "shown/data");
  EXPECT_EQ(path_of("b.yaml"), folder_ / "shown/data");
}

TEST_F(ConfigPaths, ExpandHomeAndVariables) {
  const Variable home("HOME", "/home/me"), user("CDM_TEST_USER", "me"),
      unset("CDM_TEST_UNSET", nullptr), empty("CDM_TEST_EMPTY", "");
  EXPECT_EQ(path("~"), "/home/me");
  EXPECT_EQ(path("~/data"), "/home/me/data");
  EXPECT_EQ(path("/data/$CDM_TEST_USER/x"), "/data/me/x");
  EXPECT_EQ(path("${CDM_TEST_USER}s/x"), folder_ / "mes/x");
  EXPECT_EQ(path("/a$$b"), "/a$b");
  EXPECT_EQ(path("/a$/b$"), "/a$/b$");
  EXPECT_EQ(path("/~/x"), "/~/x");
  EXPECT_EQ(load("", {"data.test_path=~/x"}).data.test_path, "/home/me/x");
  EXPECT_THAT(refusal("data: {path: $CDM_TEST_UNSET/x}"),
              AllOf(StartsWith(at_line(1) + "data.path = $CDM_TEST_UNSET/x: "),
                    HasSubstr("CDM_TEST_UNSET is not set")));
  EXPECT_THAT(refusal("", {"data.path=${CDM_TEST_EMPTY}/x"}),
              AllOf(StartsWith("--set data.path="), HasSubstr("CDM_TEST_EMPTY is empty")));
  for (const char* wrong : {"/${", "/${}", "/${a", "/${a-b}"}) {
    EXPECT_THAT(refusal(concat("data: {path: '", wrong, "'}")), HasSubstr("${NAME}")) << wrong;
  }
}

TEST_F(ConfigPaths, WithSignsAreWrittenSoThatTheyReadTheSame) {
  const Variable set("b", "other");
  for (const char* written : {"/a$b", "/a$", "/$$", "/${b}", "/~", "~x", "~", "~/b"}) {
    RunConfig config;
    config.data.path = config.data.test_path = written;
    const RunConfig read = load(to_yaml(config));
    EXPECT_EQ(read.data.path, (folder_ / written).lexically_normal().string());
    EXPECT_EQ(read.data.test_path, read.data.path);
  }
}

}  // namespace
}  // namespace cdm
