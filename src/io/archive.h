// SPDX-License-Identifier: MIT
// The files in a zip or tar archive (a tar may be compressed by gzip), read one after another and
// in place: nothing is unpacked to disk, so their names may be anything.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace cdm {

class ArchiveReader {
 public:
  /// Opens the archive. Throws UserError, naming the file, when it cannot be read or is neither a
  /// zip nor a tar archive.
  explicit ArchiveReader(std::filesystem::path path);
  ~ArchiveReader();
  ArchiveReader(ArchiveReader&&) noexcept;

  /// Goes on to the next plain file in the archive; false at its end. Folders and links are passed
  /// over. Throws UserError when the archive is damaged or cut short.
  bool next();

  /// The name of the file that next() found, with '/' between folders.
  const std::string& name() const { return name_; }

  /// The bytes of that file; call it at most once. Throws UserError when there are more than `most`
  /// of them, or when they are damaged, cut short or encrypted. Memory grows with the bytes that
  /// are there, not with the size that the archive claims.
  std::string read(std::uint64_t most);

  /// For messages: the archive, and the file in it.
  std::string where() const;

 private:
  struct Handle;

  std::filesystem::path path_;
  std::unique_ptr<Handle> handle_;
  std::string name_;
  std::uint64_t count_ = 0;  // of files so far
};

}  // namespace cdm
