// SPDX-License-Identifier: MIT
// Zip archives as NumPy and PyTorch write them: members are stored or deflated, not encrypted.
// Specification: PKWARE's APPNOTE 6.3.9.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cdm/core/file.h"

namespace cdm {

class ZipReader {
 public:
  /// `bytes` is the whole archive. Throws UserError when it is not a zip archive. Messages begin
  /// with `source`.
  ZipReader(std::string bytes, std::string source);

  struct Member {
    std::string name;
    std::uint32_t method, crc;
    std::uint64_t compressed_size, size, header_offset;
  };
  const std::vector<Member>& members() const { return members_; }
  /// The member called `name`, or null.
  const Member* find(std::string_view name) const;

  /// The contents of a member. Throws UserError when they do not have the right size and CRC, or
  /// are compressed by another method.
  std::string read(const Member& member) const;

 private:
  std::string bytes_;
  std::string source_;
  std::vector<Member> members_;
};

/// Writes members one after the other, without compression, into an AtomicFile. Throws
/// std::logic_error when a member gets more or fewer bytes than begin() announced.
class ZipWriter {
 public:
  explicit ZipWriter(std::filesystem::path path) : file_(std::move(path)) {}

  /// Starts a member of exactly `size` bytes. Its contents begin at a file position that is a
  /// multiple of `alignment`.
  void begin(const std::string& name, std::uint64_t size, std::uint64_t alignment = 64);
  void append(const void* data, std::size_t size);
  void write(const std::string& name, std::string_view contents, std::uint64_t alignment = 64);
  /// Writes the archive's directory and completes the file.
  void close();

 private:
  struct Entry {
    std::string name;
    std::uint32_t crc = 0;
    std::uint64_t size = 0, written = 0, offset = 0;
  };
  void finish_member();
  void put(std::string_view bytes);

  AtomicFile file_;
  std::uint64_t position_ = 0;
  std::vector<Entry> entries_;
  bool open_member_ = false;
};

}  // namespace cdm
