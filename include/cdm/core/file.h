// SPDX-License-Identifier: MIT
// Files that appear whole or not at all.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace cdm {

/// A file that is written beside `path` and takes its name on commit(). One destroyed before that
/// leaves nothing behind.
class AtomicFile {
 public:
  /// Throws std::runtime_error, naming the path and the reason, when it cannot be created.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  std::ostream& stream() { return out_; }
  /// Throws std::runtime_error, naming the path and the reason, when anything failed to be written.
  void check();
  /// Syncs to disk and renames. Throws as check() does.
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  std::ofstream out_;
};

/// Calls `write` with the stream of an AtomicFile, and commits it.
void write_atomically(const std::filesystem::path& path,
                      const std::function<void(std::ostream&)>& write);

/// The whole file. Throws UserError, naming it, when it cannot be read or is a directory.
std::string read_file(const std::filesystem::path& path);

/// Flushes a file's or directory's contents to disk (fsync).
void sync_to_disk(const std::filesystem::path& path);

}  // namespace cdm
