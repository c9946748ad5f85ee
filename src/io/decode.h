// SPDX-License-Identifier: MIT
// Decoding pictures in memory: the formats, and what their decoders share.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace cdm {

/// Pictures of more pixels are refused.
constexpr std::uint64_t kMaxPixels = std::uint64_t{1} << 28;
/// The most pixels that a file of few bytes may have, in formats whose smallest code may stand for
/// any number of pixels.
constexpr std::uint64_t kFewBytesPixels = std::uint64_t{1} << 24;
constexpr std::uint64_t kPixelsPerByte = 1100;  // about what deflate reaches

struct PictureSource {
  std::string name;  // the file; messages begin with it
  /// If set, called once with the number of pixels, before memory for them is allocated. It may
  /// wait until there is memory.
  std::function<void(std::uint64_t pixels)> admit;
};

struct DecodedPicture {
  at::Tensor pixels;        // uint8 [H, W, channels]
  bool has_colour = false;  // whether red, green and blue differ anywhere in the stored picture
  int orientation = 1;      // as in EXIF: how to turn the pixels, see upright()
};

/// Checks the size that a picture's header claims, then calls source.admit. A decoder calls it
/// once, before it allocates memory. Throws UserError when there are no pixels, more than
/// kMaxPixels, or more than `most_pixels`, the number that the file's bytes can encode at most.
void check_picture_size(const PictureSource& source, std::uint64_t width, std::uint64_t height,
                        std::uint64_t most_pixels);

/// `most_pixels` for a format whose codes may stand for any number of pixels.
std::uint64_t most_pixels_of(std::string_view bytes);

/// Lays RGBA pixels (uint8 [H, W, 4], contiguous, not premultiplied) over white, and converts them
/// to `channels` channels.
DecodedPicture over_white(const at::Tensor& rgba, std::int64_t channels);

/// Each decodes the first picture of a file with 1 or 3 channels. Gamma and colour profiles are
/// ignored, as in Pillow. Nothing is printed. Throws UserError when the picture is damaged, cut
/// short, or of a sort that is not read.
DecodedPicture decode_png(std::string_view bytes, std::int64_t channels,
                          const PictureSource& source);
DecodedPicture decode_jpeg(std::string_view bytes, std::int64_t channels,
                           const PictureSource& source);
DecodedPicture decode_webp(std::string_view bytes, std::int64_t channels,
                           const PictureSource& source);
DecodedPicture decode_gif(std::string_view bytes, std::int64_t channels,
                          const PictureSource& source);
DecodedPicture decode_bmp(std::string_view bytes, std::int64_t channels,
                          const PictureSource& source);
DecodedPicture decode_tiff(std::string_view bytes, std::int64_t channels,
                           const PictureSource& source);

/// The orientation in a block of EXIF data, which may begin with "Exif\0\0": 1 to 8; 1 when there
/// is none, or the block is damaged.
int exif_orientation(std::string_view block);

/// Turns and mirrors uint8 [C, H, W] as EXIF's orientation 1 to 8 asks viewers to do.
at::Tensor upright(const at::Tensor& image, int orientation);

struct Picture {
  at::Tensor pixels;  // uint8 [channels, H, W], upright
  bool has_colour = false;
};

/// Decodes the bytes of a picture file of any of the formats. Throws UserError, which begins with
/// source.name, when they are of another format, and for what the decoders above refuse.
Picture decode_picture(std::string_view bytes, std::int64_t channels, const PictureSource& source);

/// read_image(), and whether the picture has a colour. `admit` is that of PictureSource. Throws
/// UserError as read_image() does.
Picture read_picture(const std::filesystem::path& path, std::int64_t channels,
                     const std::function<void(std::uint64_t pixels)>& admit = {});

}  // namespace cdm
