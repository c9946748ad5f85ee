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

  /// Goes on to the next file or link in the archive; false at its end. Folders are passed over.
  /// Throws UserError when the archive is damaged or cut short.
  bool next();

  /// The name of what next() found, with '/' between folders.
  const std::string& name() const { return name_; }
  /// Whether it is a link, which has no bytes of its own.
  bool is_link() const { return is_link_; }

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
  bool is_link_ = false;
  std::uint64_t count_ = 0;  // of files so far
};

}  // namespace cdm
