// SPDX-License-Identifier: MIT
#include "io/decode.h"

#include <ATen/ops/empty.h>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

/// The value (0 .. 255) of a pixel with opacity `alpha` (0 .. 255) in front of white.
unsigned blend(unsigned value, unsigned alpha) {
  return (value * alpha + 255 * (255 - alpha) + 127) / 255;
}

}  // namespace

void check_picture_size(const PictureSource& source, std::uint64_t width, std::uint64_t height,
                        std::uint64_t most_pixels) {
  if (width == 0 || height == 0 || width > kMaxPixels / height) {
    throw UserError(concat(source.name, ": is ", width, " x ", height,
                           " pixels; pictures of 1 to 2^28 pixels are read"));
  }
  if (width * height > most_pixels) {
    throw UserError(concat(source.name, ": not a whole picture: too few bytes for ", width, " x ",
                           height, " pixels"));
  }
  if (source.admit) source.admit(width * height);
}

std::uint64_t most_pixels_of(std::string_view bytes) {
  return kFewBytesPixels + kPixelsPerByte * bytes.size();
}

DecodedPicture over_white(const at::Tensor& rgba, std::int64_t channels) {
  DecodedPicture picture;
  picture.pixels = at::empty({rgba.size(0), rgba.size(1), channels}, at::kByte);
  const auto* in = rgba.const_data_ptr<std::uint8_t>();
  auto* out = picture.pixels.mutable_data_ptr<std::uint8_t>();
  for (const auto* const end = in + rgba.numel(); in != end; in += 4) {
    const unsigned red = blend(in[0], in[3]);
    const unsigned green = blend(in[1], in[3]);
    const unsigned blue = blend(in[2], in[3]);
    if (red != green || green != blue) picture.has_colour = true;
    if (channels == 3) {
      *out++ = static_cast<std::uint8_t>(red);
      *out++ = static_cast<std::uint8_t>(green);
      *out++ = static_cast<std::uint8_t>(blue);
    } else {
      // JPEG's weights 0.299, 0.587 and 0.114 in units of 2^-16; they add up to 1.
      *out++ =
          static_cast<std::uint8_t>((19595 * red + 38470 * green + 7471 * blue + (1U << 15)) >> 16);
    }
  }
  return picture;
}

}  // namespace cdm
