// SPDX-License-Identifier: MIT
// Helpers for tests of whole programs: running processes, reading what they print, and temporary
// folders.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cdm::test {

/// A new folder in the system's temporary folder. The destructor removes it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "cdm-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot create " + name);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The path of a file in the folder.
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// The content of a file; empty when it does not exist.
inline std::string read_text(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// How a process ended, what it printed, and its peak memory.
struct Finished {
  int exit_code = 0;  // 128 + N when it was ended by signal N
  std::string out, err;
  std::int64_t peak_bytes = 0;
};

struct ProcessOptions {
  std::string folder;                    // working directory; "" = that of the test
  std::vector<std::string> environment;  // "NAME=value", in addition to the test's environment
};

/// A running process. The destructor kills it, unless wait() was called.
class Process {
 public:
  /// `program` is the name of a program of this build ("cdm-train"), or a path.
  Process(const std::string& program, const std::vector<std::string>& arguments,
          const ProcessOptions& options = {}) {
    const std::string file = program.find('/') == std::string::npos
                                 ? (std::filesystem::path(CDM_BIN_DIR) / program).string()
                                 : program;
    std::vector<std::string> words = {file};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<std::string> variables = options.environment;
    for (char** variable = ::environ; *variable != nullptr; ++variable) {
      const std::string inherited = *variable;
      const std::string name = inherited.substr(0, inherited.find('=') + 1);
      const auto replaces = [&](const std::string& given) { return given.starts_with(name); };
      if (std::none_of(options.environment.begin(), options.environment.end(), replaces)) {
        variables.push_back(inherited);
      }
    }
    ::posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    constexpr int kCreate = O_WRONLY | O_CREAT | O_TRUNC;
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_.c_str(), kCreate, 0600);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err_.c_str(), kCreate, 0600);
    if (!options.folder.empty()) {
      ::posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
    }
    const int error = ::posix_spawn(&id_, file.c_str(), &actions, nullptr, pointers(words).data(),
                                    pointers(variables).data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::runtime_error("cannot run " + file + ": " + std::strerror(error));
  }
  ~Process() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const { ::kill(id_, signal); }

  /// What the process has printed so far.
  std::string out() const { return read_text(out_); }
  std::string err() const { return read_text(err_); }

  /// Waits for the process to end. Call it only once.
  Finished wait() {
    int status = 0;
    struct rusage usage = {};
    ::wait4(std::exchange(id_, -1), &status, 0, &usage);
    const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return {code, out(), err(), std::int64_t{usage.ru_maxrss} * 1024};
  }

 private:
  /// argv or envp: pointers into `words`, then a null pointer.
  static std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> found;
    for (std::string& word : words) found.push_back(word.data());
    found.push_back(nullptr);
    return found;
  }

  TemporaryFolder folder_;
  std::string out_ = folder_ / "stdout", err_ = folder_ / "stderr";
  ::pid_t id_ = -1;
};

/// Runs a program and waits for it.
inline Finished run(const std::string& program, const std::vector<std::string>& arguments,
                    const ProcessOptions& options = {}) {
  return Process(program, arguments, options).wait();
}

/// The same, expecting success. Returns the standard output.
inline std::string run_well(const std::string& program, const std::vector<std::string>& arguments,
                            const ProcessOptions& options = {}) {
  const Finished done = run(program, arguments, options);
  EXPECT_EQ(done.exit_code, 0) << program << ": " << done.err;
  return done.out;
}

}  // namespace cdm::test
