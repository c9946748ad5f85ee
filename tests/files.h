// SPDX-License-Identifier: MIT
// Helpers for tests of files: a folder for each test, writing files, and errors that name a file.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "cdm/core/text.h"
#include "messages.h"

namespace cdm::test {

/// Gives each test an empty folder, and removes it afterwards.
class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = concat(test->test_suite_name(), "-", test->name());
    std::replace(name.begin(), name.end(), '/', '-');  // in the name of a test with parameters
    folder_ = std::filesystem::path(testing::TempDir()) / concat("cdm-", ::getpid(), "-", name);
    std::filesystem::create_directories(folder_);
  }
  ~FilesTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

/// Matches the message of an error in that file: it begins with the file's name, and holds each of
/// the parts.
template <class... Part>
auto error_in(const std::filesystem::path& file, const Part&... parts) {
  return testing::AllOf(testing::StartsWith(file.string() + ": "),
                        testing::HasSubstr(std::string(parts))...);
}

inline void overwrite(const std::filesystem::path& path, std::string_view bytes) {
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
  // Makes a new file, because some file systems sync a file that is rewritten, which takes time.
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace cdm::test
