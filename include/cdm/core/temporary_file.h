// SPDX-License-Identifier: MIT
// Files under a temporary name, which do not outlive the process.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>

namespace cdm {

/// An empty new file. The destructor removes it, unless it was renamed; so does a signal, after
/// remove_temporary_files_when_stopped().
class TemporaryFile {
 public:
  /// Creates `NAME.tmp-PID-K` in the folder of `path`, whose file name is NAME. A long NAME is cut
  /// where the whole would be longer than file systems allow. Throws std::system_error.
  explicit TemporaryFile(const std::filesystem::path& path);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Gives the file the mode of the file `other`, and its owner where the system allows that. Does
  /// nothing when there is no `other`.
  void take_mode_of(const std::filesystem::path& other) const;
  /// Renames the file to `path`. Throws std::system_error.
  void rename_to(const std::filesystem::path& path);

 private:
  std::filesystem::path path_;
  const char* registered_ = nullptr;  // the path, for the signal handler
  std::size_t slot_ = 0;
};

/// From now on, the signals that end a process (SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGALRM,
/// SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ) remove the temporary files first. Signals that are ignored
/// (nohup) stay ignored.
void remove_temporary_files_when_stopped();

}  // namespace cdm
