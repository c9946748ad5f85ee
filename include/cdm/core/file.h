// SPDX-License-Identifier: MIT
// Files that appear whole or not at all.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include "cdm/core/output_target.h"
#include "cdm/core/temporary_file.h"

namespace cdm {

/// A file that is written under a temporary name beside `path`; commit() renames it to `path`. When
/// the object is destroyed without commit(), the temporary file is removed.
///
/// Where `path` is a symbolic link, the link stays and its target is replaced. A file that is
/// replaced hands on its mode, and its owner where the system allows that; other hard links keep
/// the old content. Where `path` is a stream (see OutputTarget), the temporary file lies in the
/// system's folder for temporary files, and commit() copies it into the stream.
class AtomicFile {
 public:
  /// Throws std::runtime_error, naming the path and the reason, when the file cannot be created,
  /// and UserError as find_output_target() does. Opens no stream.
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  std::ostream& stream() { return out_; }
  /// Throws std::runtime_error, naming the path and the reason, when an earlier write failed.
  void check();
  /// Flushes the file to disk and renames it to `path`, or copies it into the stream. Throws as
  /// check() does.
  void commit();

 private:
  std::filesystem::path path_;  // as it was given, for messages
  OutputTarget target_;
  std::optional<TemporaryFile> temporary_;
  std::ofstream out_;
};

/// Writes `path` as an AtomicFile: `write` gets the stream, then the file is committed.
void write_atomically(const std::filesystem::path& path,
                      const std::function<void(std::ostream&)>& write);

/// The bytes of a whole file. Throws UserError, naming the file, when it cannot be read or is a
/// directory.
std::string read_file(const std::filesystem::path& path);

/// Flushes the contents of a file or directory to disk (fsync). Throws std::runtime_error, naming
/// the path and the reason, when that fails; a file system that cannot sync is no failure.
void sync_to_disk(const std::filesystem::path& path);

}  // namespace cdm
