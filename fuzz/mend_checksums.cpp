// SPDX-License-Identifier: MIT
#include "mend_checksums.h"

#include <zlib.h>

#include <string_view>

namespace cdm::fuzz {
namespace {

std::uint32_t big_endian(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 |
         at[3];
}

std::uint64_t little_endian(const std::uint8_t* at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = count; i > 0; --i) value = value << 8 | at[i - 1];
  return value;
}

std::uint32_t crc_of(const std::uint8_t* data, std::size_t size) {
  return static_cast<std::uint32_t>(::crc32_z(0, data, size));
}

}  // namespace

void mend_png(std::uint8_t* data, std::size_t size) {
  if (size < 8 || std::string_view(reinterpret_cast<const char*>(data), 4) != "\x89PNG") return;
  std::size_t at = 8;
  while (size >= at + 12) {  // length, name, contents, CRC
    const std::size_t length = big_endian(data + at);
    if (length > size - at - 12) return;
    const std::uint32_t crc = crc_of(data + at + 4, length + 4);
    for (std::size_t i = 0; i < 4; ++i) {
      data[at + 8 + length + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    }
    at += length + 12;
  }
}

void mend_zip(std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kEntry = 46, kLocal = 30;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (std::size_t at = bytes.find("PK\x01\x02"); at != std::string_view::npos;
       at = bytes.find("PK\x01\x02", at + 4)) {
    if (size - at < kEntry) return;
    const std::uint64_t stored = little_endian(data + at + 20, 4);
    const std::uint64_t header = little_endian(data + at + 42, 4);
    if (header > size || size - header < kLocal) continue;
    const std::uint64_t start = header + kLocal + little_endian(data + header + 26, 2) +
                                little_endian(data + header + 28, 2);
    if (start > size || stored > size - start) continue;
    const std::uint32_t crc = crc_of(data + start, stored);
    for (std::size_t i = 0; i < 4; ++i) {
      data[at + 16 + i] = static_cast<std::uint8_t>(crc >> (8 * i));
    }
  }
}

}  // namespace cdm::fuzz
