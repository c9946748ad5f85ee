// SPDX-License-Identifier: MIT
// Zip archives as NumPy and PyTorch write them: stored or deflated members, no encryption.
// PKWARE's APPNOTE 6.3.9 is the specification.
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
  /// Takes the archive's bytes. Throws UserError, naming `source`, when they are not a zip archive.
  ZipReader(std::string bytes, std::string source);

  struct Member {
    std::string name;
    std::uint32_t method, crc;
    std::uint64_t compressed_size, size, header_offset;
  };
  const std::vector<Member>& members() const { return members_; }
  /// The member of that name, or null.
  const Member* find(std::string_view name) const;

  /// The member's contents, checked against its CRC. Throws UserError when they are damaged.
  std::string read(const Member& member) const;

 private:
  std::string bytes_;
  std::string source_;
  std::vector<Member> members_;
};

/// Writes stored members one after the other, into a file that appears under its name on close().
class ZipWriter {
 public:
  explicit ZipWriter(std::filesystem::path path) : file_(std::move(path)) {}

  /// Starts a member of exactly `size` bytes, whose contents begin at a multiple of `alignment`.
  void begin(const std::string& name, std::uint64_t size, std::uint64_t alignment = 64);
  void append(const void* data, std::size_t size);
  void write(const std::string& name, std::string_view contents, std::uint64_t alignment = 64);
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
