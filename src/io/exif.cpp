// SPDX-License-Identifier: MIT
// The one tag of EXIF data that changes how a picture looks: its orientation. EXIF data are a TIFF
// file without pixels: a byte order, and the offset of a list of entries of 12 bytes.
#include <cstddef>

#include "io/decode.h"

namespace cdm {
namespace {

using namespace std::string_view_literals;

constexpr std::uint32_t kOrientation = 0x112;
constexpr std::uint32_t kShort = 3, kLong = 4;  // types of an entry
constexpr std::size_t kEntryBytes = 12;

/// The number in `count` bytes at `at`, which must be there.
std::uint32_t number(std::string_view bytes, std::size_t at, std::size_t count, bool little) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[at + (little ? count - 1 - i : i)]);
  }
  return value;
}

}  // namespace

int exif_orientation(std::string_view block) {
  constexpr int kUpright = 1;
  if (block.starts_with("Exif\0\0"sv)) block.remove_prefix(6);
  const bool little = block.starts_with("II*\0"sv);
  if (block.size() < 8 || (!little && !block.starts_with("MM\0*"sv))) return kUpright;
  const std::size_t list = number(block, 4, 4, little);
  if (list > block.size() - 2) return kUpright;
  const std::size_t entries = number(block, list, 2, little);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = list + 2 + i * kEntryBytes;
    if (at + kEntryBytes > block.size()) return kUpright;
    if (number(block, at, 2, little) != kOrientation) continue;
    const std::uint32_t type = number(block, at + 2, 2, little);
    if (type != kShort && type != kLong) return kUpright;
    const std::uint32_t value = number(block, at + 8, type == kShort ? 2 : 4, little);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : kUpright;
  }
  return kUpright;
}

at::Tensor upright(const at::Tensor& image, int orientation) {
  switch (orientation) {
    case 2:  // mirrored left to right
      return image.flip(2);
    case 3:  // upside down
      return image.flip({1, 2});
    case 4:  // mirrored top to bottom
      return image.flip(1);
    case 5:  // mirrored at the diagonal from the top left
      return image.transpose(1, 2);
    case 6:  // to be turned clockwise
      return image.transpose(1, 2).flip(2);
    case 7:  // mirrored at the other diagonal
      return image.transpose(1, 2).flip({1, 2});
    case 8:  // to be turned counterclockwise
      return image.transpose(1, 2).flip(1);
    default:
      return image;
  }
}

}  // namespace cdm
