// SPDX-License-Identifier: MIT
// Where the bytes of an AtomicFile go: files, links, and streams.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>

#include "cdm/core/file.h"
#include "files.h"
#include "null_device.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::mentions;
using test::user_error;

class AtomicFileTest : public test::FilesTest {
 protected:
  static void write(const fs::path& path, const std::string& text) {
    write_atomically(path, [&](std::ostream& out) { out << text; });
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
};

TEST_F(AtomicFileTest, LeavesNothingWithoutCommit) {
  {
    AtomicFile file(folder_ / "a");
    file.stream() << "text";
    EXPECT_EQ(files(), 1u);
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(AtomicFileTest, ReplacesTheTargetOfALink) {
  fs::create_directories(folder_ / "other");
  test::overwrite(folder_ / "other/target", "old");
  fs::create_symlink("other/target", folder_ / "first");
  fs::create_symlink(folder_ / "first", folder_ / "second");
  write(folder_ / "second", "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "second"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "first"));
  EXPECT_EQ(read_file(folder_ / "other/target"), "new");
  // A target that does not exist yet.
  fs::create_symlink("other/later", folder_ / "third");
  write(folder_ / "third", "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "third"));
  EXPECT_EQ(read_file(folder_ / "other/later"), "new");
}

TEST_F(AtomicFileTest, RefusesWhatIsNoFile) {
  fs::create_symlink("b", folder_ / "a");
  fs::create_symlink("a", folder_ / "b");
  const auto error = [&](const char* name) {
    return user_error([&] { const AtomicFile file(folder_ / name); });
  };
  EXPECT_THAT(error("a"), test::error_in(folder_ / "a", "loop of links"));
  EXPECT_THAT(error("."), mentions("is a folder"));
  EXPECT_THAT(user_error([] { const AtomicFile file("/dev/fd/999"); }),
              mentions("/dev/fd/999", "is not open"));
}

TEST_F(AtomicFileTest, KeepsTheModeOfAFileAndTheContentOfItsOtherNames) {
  test::overwrite(folder_ / "a", "old");
  fs::create_hard_link(folder_ / "a", folder_ / "b");
  ASSERT_EQ(::chmod((folder_ / "a").c_str(), 0640), 0);
  write(folder_ / "a", "new");
  EXPECT_EQ(read_file(folder_ / "a"), "new");
  EXPECT_EQ(read_file(folder_ / "b"), "old");
  EXPECT_EQ(fs::status(folder_ / "a").permissions(), fs::perms(0640));
}

TEST_F(AtomicFileTest, TakesTheLongestName) {
  const fs::path file = folder_ / std::string(255, 'x');
  write(file, "text");
  EXPECT_EQ(read_file(file), "text");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, WritesIntoADeviceAndLeavesIt) {
  const std::string device = test::null_device(folder_);
  if (device.empty()) GTEST_SKIP() << "no device can be made here";
  write(device, "text");
  EXPECT_TRUE(fs::is_character_file(device));
}

TEST_F(AtomicFileTest, WritesIntoAFifoOnlyWhenItIsCommitted) {
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const std::string text(300000, 'x');  // more than a pipe holds
  AtomicFile file(fifo);                // does not wait for a reader
  file.stream() << "....";
  file.stream().seekp(0) << text;
  auto reader = std::async(std::launch::async, [&] { return read_file(fifo); });
  file.commit();
  EXPECT_EQ(reader.get(), text);
  EXPECT_TRUE(fs::is_fifo(fifo));
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, WritesToTheEndOfAnOpenDescriptor) {
  test::overwrite(folder_ / "log", "first,");
  const int log = ::open((folder_ / "log").c_str(), O_WRONLY | O_APPEND);
  ASSERT_GE(log, 0);
  write(fs::path("/dev/fd") / std::to_string(log), "second");
  EXPECT_EQ(::write(log, ",third", 6), 6);
  ::close(log);
  EXPECT_EQ(read_file(folder_ / "log"), "first,second,third");
}

}  // namespace
}  // namespace cdm
