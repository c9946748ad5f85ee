// SPDX-License-Identifier: MIT
#include "cdm/run/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "cdm/core/text.h"

namespace cdm {
namespace {

// The encoding of protocol buffers.

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  return out + static_cast<char>(value);
}

std::string little_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
  return out;
}

enum class Wire : std::uint64_t { varint = 0, fixed64 = 1, length_delimited = 2, fixed32 = 5 };

std::string key(std::uint64_t field, Wire wire) {
  return varint(field << 3 | static_cast<std::uint64_t>(wire));
}
std::string integer_field(std::uint64_t field, std::int64_t value) {
  return key(field, Wire::varint) + varint(static_cast<std::uint64_t>(value));
}
std::string double_field(std::uint64_t field, double value) {
  return key(field, Wire::fixed64) + little_endian(std::bit_cast<std::uint64_t>(value), 8);
}
std::string float_field(std::uint64_t field, float value) {
  return key(field, Wire::fixed32) + little_endian(std::bit_cast<std::uint32_t>(value), 4);
}
std::string bytes_field(std::uint64_t field, std::string_view value) {
  return key(field, Wire::length_delimited) + varint(value.size()) + std::string(value);
}

// Field numbers and values of the messages Event, ...
constexpr std::uint64_t kWallTime = 1;
constexpr std::uint64_t kStep = 2;
constexpr std::uint64_t kFileVersion = 3;
constexpr std::uint64_t kSummary = 5;
constexpr std::uint64_t kSessionLog = 7;
// ... SessionLog, ...
constexpr std::uint64_t kStatus = 1;
constexpr std::int64_t kStart = 1;
// ... and Summary, Summary.Value and Summary.Image.
constexpr std::uint64_t kValue = 1;
constexpr std::uint64_t kTag = 1;
constexpr std::uint64_t kSimpleValue = 2;
constexpr std::uint64_t kImage = 4;
constexpr std::uint64_t kHeight = 1;
constexpr std::uint64_t kWidth = 2;
constexpr std::uint64_t kColorspace = 3;
constexpr std::uint64_t kEncodedImage = 4;

/// The "masked" CRC-32C of TFRecords: rotated, and a constant added, because the CRC of data that
/// contain their own CRC is degenerate.
std::string masked_crc(std::string_view bytes) {
  return little_endian(std::rotr(crc32c(bytes), 15) + 0xa282ead8U, 4);
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> entries = {};
    for (std::uint32_t i = 0; i < entries.size(); ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82f63b78U : 0U);
      entries[i] = value;
    }
    return entries;
  }();
  std::uint32_t crc = ~0U;
  for (const char c : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<std::uint8_t>(c)) & 0xff];
  return ~crc;
}

EventWriter::EventWriter(const std::filesystem::path& folder, std::int64_t first_step) {
  std::filesystem::create_directories(folder);
  std::array<char, 256> host = {};
  ::gethostname(host.data(), host.size() - 1);
  const std::string name = concat("events.out.tfevents.", static_cast<std::int64_t>(now()), ".",
                                  host.data(), ".", ::getpid(), ".");
  std::int64_t number = 0;
  do {
    path_ = folder / concat(name, number++);
  } while (std::filesystem::exists(path_));
  out_.open(path_, std::ios::binary);
  write_event(0, bytes_field(kFileVersion, "brain.Event:2"));
  write_event(first_step, bytes_field(kSessionLog, integer_field(kStatus, kStart)));
}

void EventWriter::write_event(std::int64_t step, const std::string& rest) {
  const std::string event = double_field(kWallTime, now()) + integer_field(kStep, step) + rest;
  const std::string length = little_endian(event.size(), 8);
  out_ << length << masked_crc(length) << event << masked_crc(event) << std::flush;
  if (!out_) {
    throw std::runtime_error(concat("cannot write ", path_.string(), ": ", std::strerror(errno)));
  }
}

void EventWriter::scalar(std::int64_t step, std::string_view tag, double value) {
  const std::string entry =
      bytes_field(kTag, tag) + float_field(kSimpleValue, static_cast<float>(value));
  write_event(step, bytes_field(kSummary, bytes_field(kValue, entry)));
}

void EventWriter::image(std::int64_t step, std::string_view tag, std::string_view png,
                        std::int64_t height, std::int64_t width, std::int64_t channels) {
  const std::string picture = integer_field(kHeight, height) + integer_field(kWidth, width) +
                              integer_field(kColorspace, channels) +
                              bytes_field(kEncodedImage, png);
  const std::string entry = bytes_field(kTag, tag) + bytes_field(kImage, picture);
  write_event(step, bytes_field(kSummary, bytes_field(kValue, entry)));
}

}  // namespace cdm
