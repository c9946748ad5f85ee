// SPDX-License-Identifier: MIT
// Helpers for tests of shell scripts: a folder with a copy of some of the project's files, and a
// PATH on which there are only the commands that a test puts there.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "cdm/core/text.h"
#include "process.h"

namespace cdm::test {

class ScriptsTest : public testing::Test {
 protected:
  ScriptsTest() {
    std::filesystem::create_directories(folder_.path() / "bin");
    for (const char* name :
         {"awk",       "basename", "bash",     "cat",      "chmod", "cp",    "cut",  "date",
          "dirname",   "env",      "expr",     "grep",     "head",  "ln",    "ls",   "mkdir",
          "mktemp",    "mv",       "readlink", "realpath", "rm",    "rmdir", "sed",  "sh",
          "sha256sum", "sleep",    "sort",     "tail",     "touch", "tr",    "uname"}) {
      link(name);
    }
  }

  /// Copies a file or folder of the project to the same place in the test's folder.
  void copy(const std::string& name) const {
    const std::filesystem::path to = folder_.path() / name;
    std::filesystem::create_directories(to.parent_path());
    std::filesystem::copy(std::filesystem::path(CDM_TEST_DATA) / ".." / name, to,
                          std::filesystem::copy_options::recursive);
  }
  /// Makes the system's command of that name known.
  void link(const std::string& name) const {
    for (const char* where : {"/usr/bin/", "/bin/", "/usr/local/bin/"}) {
      if (!std::filesystem::exists(where + name)) continue;
      std::filesystem::create_symlink(where + name, folder_.path() / "bin" / name);
      return;
    }
    FAIL() << "no command " << name;
  }
  /// Makes a command of that name, or a program at that path, which is a script of bash.
  void fake(const std::string& name, const std::string& text) const {
    const std::filesystem::path file =
        folder_.path() / (name.find('/') == std::string::npos ? "bin/" + name : name);
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::remove(file);
    write_text(file, "#!" + folder_ / "bin/bash" + "\n" + text + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  }
  void remove(const std::string& name) const { std::filesystem::remove_all(folder_.path() / name); }

  /// Runs a script of the folder, where only the commands of the test are known.
  Finished call(const std::string& script, const std::vector<std::string>& words = {}) const {
    std::vector<std::string> environment = {"PATH=" + folder_ / "bin"};
    environment.insert(environment.end(), environment_.begin(), environment_.end());
    return run(folder_ / script, words, {folder_.path().string(), environment});
  }
  /// What the fakes have written into the file `calls`.
  std::string calls() const { return read_text(folder_ / "calls"); }

  TemporaryFolder folder_;
  std::vector<std::string> environment_;  // "NAME=value"
};

}  // namespace cdm::test
