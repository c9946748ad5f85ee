// SPDX-License-Identifier: MIT
// What tests of files share: a folder of their own, whole files, and the messages of errors.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm::test {

/// Gives each test an empty folder, and removes it afterwards.
class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) /
              concat("cdm-", ::getpid(), "-", test->test_suite_name(), "-", test->name());
    std::filesystem::create_directories(folder_);
  }
  ~FilesTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

inline void overwrite(const std::filesystem::path& path, std::string_view bytes) {
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
  std::filesystem::remove(path);  // a new file, since some file systems sync one that is rewritten
  std::ofstream(path, std::ios::binary) << bytes;
}

/// The message of the UserError that the call must throw, which must be one line.
inline std::string user_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const UserError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  return "no UserError";
}

}  // namespace cdm::test
