// SPDX-License-Identifier: MIT
// JPEG through libjpeg-turbo, with what its interface leaves out: the segments before the pixels.
#include <ATen/ops/empty.h>
#include <turbojpeg.h>

#include <memory>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "io/decode.h"

namespace cdm {
namespace {

using namespace std::string_view_literals;

struct Segments {
  std::string_view exif;  // empty when there is none
  bool is_adobes = false;
};

/// Looks through the segments up to the first scan: a marker (0xff and its kind), a length of two
/// bytes which counts itself, and contents.
Segments segments_of(std::string_view bytes) {
  constexpr unsigned char kScan = 0xda, kExif = 0xe1, kAdobe = 0xee;
  Segments found;
  std::size_t at = 2;
  while (at + 4 <= bytes.size() && bytes[at] == '\xff') {
    const auto kind = static_cast<unsigned char>(bytes[at + 1]);
    if (kind == 0xff) {  // a fill byte
      ++at;
      continue;
    }
    const std::size_t length = static_cast<std::size_t>(static_cast<unsigned char>(bytes[at + 2]))
                                   << 8 |
                               static_cast<unsigned char>(bytes[at + 3]);
    if (kind == kScan || length < 2 || length > bytes.size() - at - 2) break;
    const std::string_view contents = bytes.substr(at + 4, length - 2);
    if (kind == kExif && contents.starts_with("Exif\0\0"sv) && found.exif.empty()) {
      found.exif = contents;
    }
    if (kind == kAdobe && contents.starts_with("Adobe")) found.is_adobes = true;
    at += 2 + length;
  }
  return found;
}

/// Inks (uint8 [H, W, 4], cyan, magenta, yellow and black) to RGBA, in place: white paper, of which
/// each ink takes its share of the light. Adobe stores 255 minus the ink.
void inks_to_rgba(const at::Tensor& inks, bool is_inverted) {
  auto* pixel = inks.mutable_data_ptr<std::uint8_t>();
  for (const auto* const end = pixel + inks.numel(); pixel != end; pixel += 4) {
    const unsigned flip = is_inverted ? 0 : 255;
    const unsigned black = pixel[3] ^ flip;
    for (int i = 0; i < 3; ++i) {
      pixel[i] = static_cast<std::uint8_t>(((pixel[i] ^ flip) * black + 127) / 255);
    }
    pixel[3] = 255;
  }
}

bool has_colour(const at::Tensor& rgb) {
  const auto* pixel = rgb.const_data_ptr<std::uint8_t>();
  for (const auto* const end = pixel + rgb.numel(); pixel != end; pixel += 3) {
    if (pixel[0] != pixel[1] || pixel[1] != pixel[2]) return true;
  }
  return false;
}

}  // namespace

DecodedPicture decode_jpeg(std::string_view bytes, std::int64_t channels,
                           const PictureSource& source) {
  const std::unique_ptr<void, decltype(&::tjDestroy)> decoder(::tjInitDecompress(), &::tjDestroy);
  const auto fail = [&] {
    return UserError(
        concat(source.name, ": not a whole JPEG: ", printable(::tjGetErrorStr2(decoder.get()))));
  };
  const auto* const data = reinterpret_cast<const unsigned char*>(bytes.data());
  int width = 0, height = 0, subsampling = 0, space = 0;
  if (::tjDecompressHeader3(decoder.get(), data, bytes.size(), &width, &height, &subsampling,
                            &space) != 0) {
    throw fail();
  }
  // A block of 8 x 8 pixels takes at least one bit.
  check_picture_size(source, static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height),
                     512 * bytes.size());
  const auto decode = [&](int format, std::int64_t samples) {
    at::Tensor pixels = at::empty({height, width, samples}, at::kByte);
    if (::tjDecompress2(decoder.get(), data, bytes.size(), pixels.mutable_data_ptr<std::uint8_t>(),
                        width, 0, height, format,
                        TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) != 0) {
      throw fail();
    }
    return pixels;
  };
  const Segments segments = segments_of(bytes);
  DecodedPicture picture;
  if (space == TJCS_CMYK || space == TJCS_YCCK) {
    const at::Tensor inks = decode(TJPF_CMYK, 4);
    inks_to_rgba(inks, segments.is_adobes);
    picture = over_white(inks, channels);
  } else {
    picture.has_colour = space != TJCS_GRAY;
    if (picture.has_colour) {
      picture.pixels = decode(TJPF_RGB, 3);
      picture.has_colour = has_colour(picture.pixels);
    }
    // The grey of a JPEG is its own luma channel.
    if (channels == 1) {
      picture.pixels = decode(TJPF_GRAY, 1);
    } else if (!picture.pixels.defined()) {
      picture.pixels = decode(TJPF_RGB, 3);
    }
  }
  picture.orientation = exif_orientation(segments.exif);
  return picture;
}

}  // namespace cdm
