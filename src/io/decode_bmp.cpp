// SPDX-License-Identifier: MIT
// BMP without compression: a header, a palette or bit masks, and rows of whole groups of 4 bytes,
// the bottom row first. (The small libraries for it read beyond a short palette, or accept a file
// that is cut.)
#include <ATen/ops/empty.h>

#include <array>
#include <bit>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "io/decode.h"

namespace cdm {
namespace {

constexpr std::size_t kFileHeader = 14;
constexpr std::uint32_t kOldHeader = 12;  // OS/2's: sizes of 16 bits, palette entries of 3 bytes
constexpr std::uint32_t kWithAlpha = 56;  // and from here on an alpha mask
constexpr std::uint32_t kPlain = 0, kBitFields = 3, kAlphaBitFields = 6;  // compression

class BmpDecoder {
 public:
  BmpDecoder(std::string_view bytes, const PictureSource& source)
      : bytes_(bytes), source_(source) {}

  at::Tensor rgba() {
    read_header();
    check_picture_size(source_, width_, height_, 8 * bytes_.size());
    const std::uint64_t stride = (width_ * bits_ + 31) / 32 * 4;
    const std::uint64_t last_row = (width_ * bits_ + 7) / 8;  // its filling may be missing
    const std::uint64_t start = number(10, 4);
    if (start > bytes_.size() || stride * (height_ - 1) + last_row > bytes_.size() - start) {
      throw fail("it ends too early");
    }
    at::Tensor pixels = at::empty(
        {static_cast<std::int64_t>(height_), static_cast<std::int64_t>(width_), 4}, at::kByte);
    auto* out = pixels.mutable_data_ptr<std::uint8_t>();
    for (std::uint64_t y = 0; y < height_; ++y) {
      const std::uint64_t row = start + stride * (top_down_ ? y : height_ - 1 - y);
      for (std::uint64_t x = 0; x < width_; ++x, out += 4) {
        if (bits_ <= 8) {
          from_palette(row, x, out);
        } else {
          from_masks(static_cast<std::uint32_t>(number(row + x * bits_ / 8, bits_ / 8)), out);
        }
      }
    }
    return pixels;
  }

 private:
  UserError fail(std::string_view reason) const {
    return UserError(concat(source_.name, ": not a whole BMP: ", reason));
  }

  std::uint64_t number(std::uint64_t at, std::uint64_t count) const {
    if (at + count > bytes_.size()) throw fail("it ends too early");
    std::uint64_t value = 0;
    for (std::uint64_t i = count; i > 0; --i) {
      value = value << 8 | static_cast<unsigned char>(bytes_[at + i - 1]);
    }
    return value;
  }

  void read_header() {
    const std::uint64_t header = number(kFileHeader, 4);
    const bool old = header == kOldHeader;
    if (!old && (header < 40 || header > 124)) throw fail("its header is of an unknown kind");
    std::uint64_t compression = kPlain, colours = 0;
    if (old) {
      width_ = number(18, 2);
      height_ = number(20, 2);
      bits_ = number(24, 2);
    } else {
      width_ = number(18, 4);
      const auto height = static_cast<std::int32_t>(number(22, 4));
      top_down_ = height < 0;
      height_ = static_cast<std::uint64_t>(std::abs(std::int64_t{height}));
      bits_ = number(28, 2);
      compression = number(30, 4);
      colours = number(46, 4);
    }
    if (bits_ != 1 && bits_ != 4 && bits_ != 8 && bits_ != 16 && bits_ != 24 && bits_ != 32) {
      throw fail(concat("it has ", bits_, " bits per pixel"));
    }
    const bool has_masks =
        (compression == kBitFields || compression == kAlphaBitFields) && bits_ >= 16 && bits_ != 24;
    if (compression != kPlain && !has_masks) {
      throw UserError(concat(source_.name, ": is a BMP with compression ", compression,
                             "; uncompressed ones are read"));
    }
    if (has_masks) {
      const bool has_alpha = header >= kWithAlpha || compression == kAlphaBitFields;
      for (std::size_t i = 0; i < (has_alpha ? 4U : 3U); ++i) {
        masks_[i] = static_cast<std::uint32_t>(number(kFileHeader + 40 + 4 * i, 4));
      }
    } else if (bits_ == 16) {
      masks_ = {0x7c00, 0x3e0, 0x1f, 0};
    }
    if (bits_ > 8) return;
    // Masks may lie between header and palette only where there is no palette.
    entry_ = old ? 3 : 4;
    palette_ = kFileHeader + header;
    colours_ = colours == 0 ? std::uint64_t{1} << bits_ : colours;
  }

  void from_palette(std::uint64_t row, std::uint64_t x, std::uint8_t* out) const {
    const auto byte = static_cast<unsigned char>(bytes_[row + x * bits_ / 8]);
    const std::uint64_t shift = 8 - bits_ - x * bits_ % 8;
    const std::uint64_t colour = (byte >> shift) & ((1U << bits_) - 1);
    if (colour >= colours_) throw fail("a colour that is not in its palette");
    const std::uint64_t value = number(palette_ + entry_ * colour, 3);
    for (int i = 0; i < 3; ++i) out[i] = static_cast<std::uint8_t>(value >> (16 - 8 * i));
    out[3] = 255;
  }

  void from_masks(std::uint32_t value, std::uint8_t* out) const {
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint32_t mask = masks_[i];
      if (mask == 0) {
        out[i] = i == 3 ? 255 : 0;
        continue;
      }
      const int shift = std::countr_zero(mask);
      const std::uint64_t most = mask >> shift;
      out[i] = static_cast<std::uint8_t>((std::uint64_t{(value & mask) >> shift} * 255 + most / 2) /
                                         most);
    }
  }

  std::string_view bytes_;
  const PictureSource& source_;
  std::uint64_t width_ = 0, height_ = 0, bits_ = 0;
  bool top_down_ = false;
  std::uint64_t palette_ = 0, entry_ = 0, colours_ = 0;  // offset, bytes of an entry, entries
  std::array<std::uint32_t, 4> masks_ = {0xff0000, 0xff00, 0xff, 0};  // red, green, blue, alpha
};

}  // namespace

DecodedPicture decode_bmp(std::string_view bytes, std::int64_t channels,
                          const PictureSource& source) {
  return over_white(BmpDecoder(bytes, source).rgba(), channels);
}

}  // namespace cdm
