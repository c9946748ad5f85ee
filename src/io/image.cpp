// SPDX-License-Identifier: MIT
#include "cdm/io/image.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <png.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "io/decode.h"
#include "io/what_it_is.h"

namespace cdm {
namespace {

using namespace std::string_view_literals;

constexpr std::uintmax_t kMostBytes = std::uintmax_t{1} << 31;  // of a file
constexpr std::int64_t kBorder = 2;
constexpr std::uint8_t kMidGrey = 128;

/// What a file is that is no picture of a known format; empty when that is not known either.
std::string_view other_kind_of(std::string_view bytes) {
  if (bytes.empty()) return ": it is empty";
  if (bytes.substr(0, 12).ends_with("ftypavif")) return ": it is AVIF";
  if (bytes.substr(0, 8).ends_with("ftyp")) return ": it is HEIC or a video";
  return "";
}

}  // namespace

Picture read_picture(const std::filesystem::path& path, std::int64_t channels,
                     const std::function<void(std::uint64_t pixels)>& admit) {
  const PictureSource source = {path.string(), admit};
  // Opening a FIFO would wait for a writer, and a device may have no end.
  const std::string reason = why_not_a_file(path);
  if (!reason.empty()) throw UserError(concat(source.name, ": ", reason));
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (!error && size > kMostBytes) {
    throw UserError(concat(source.name, ": has ", size, " bytes; pictures of at most ", kMostBytes,
                           " bytes are read"));
  }
  return decode_picture(read_file(path), channels, source);
}

Picture decode_picture(std::string_view bytes, std::int64_t channels, const PictureSource& source) {
  TORCH_CHECK(channels == 1 || channels == 3, "pictures have 1 or 3 channels, not ", channels);
  DecodedPicture decoded;
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) {
    decoded = decode_png(bytes, channels, source);
  } else if (bytes.starts_with("\xff\xd8\xff")) {
    decoded = decode_jpeg(bytes, channels, source);
  } else if (bytes.starts_with("RIFF") && bytes.find("WEBP", 8) == 8) {
    decoded = decode_webp(bytes, channels, source);
  } else if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) {
    decoded = decode_gif(bytes, channels, source);
  } else if (bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv) ||
             bytes.starts_with("II+\0"sv) || bytes.starts_with("MM\0+"sv)) {
    decoded = decode_tiff(bytes, channels, source);
  } else if (bytes.starts_with("BM")) {
    decoded = decode_bmp(bytes, channels, source);
  } else if (const std::string other = what_it_is_instead(bytes); !other.empty()) {
    throw UserError(concat(source.name, ": ", other));
  } else {
    throw UserError(concat(source.name, ": neither a PNG, JPEG, WebP, GIF, BMP nor TIFF picture",
                           other_kind_of(bytes)));
  }
  return {upright(decoded.pixels.permute({2, 0, 1}), decoded.orientation).contiguous(),
          decoded.has_colour};
}

at::Tensor read_image(const std::filesystem::path& path, std::int64_t channels) {
  return read_picture(path, channels).pixels;
}

void write_png(const std::filesystem::path& path, const at::Tensor& image) {
  TORCH_CHECK(image.dim() == 3 && (image.size(0) == 1 || image.size(0) == 3) &&
                  image.scalar_type() == at::kByte,
              "a picture is uint8 [1 or 3, H, W], not ", image.scalar_type(), " ", image.sizes());
  const at::Tensor pixels = image.to(at::kCPU).permute({1, 2, 0}).contiguous();
  png_image png = {};
  png.version = PNG_IMAGE_VERSION;
  png.height = static_cast<png_uint_32>(pixels.size(0));
  png.width = static_cast<png_uint_32>(pixels.size(1));
  png.format = pixels.size(2) == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string bytes(size, '\0');
  if (::png_image_write_to_memory(&png, bytes.data(), &size, 0, pixels.const_data_ptr(), 0,
                                  nullptr) == 0) {
    throw std::runtime_error(concat("cannot write ", path.string(), ": ", png.message));
  }
  write_atomically(path, [&](std::ostream& out) {
    out.write(bytes.data(), static_cast<std::streamsize>(size));
  });
}

at::Tensor resize_and_center_crop(const at::Tensor& image, std::int64_t size) {
  const std::int64_t shorter = std::min(image.size(1), image.size(2));
  at::Tensor resized = image;
  if (shorter != size) {
    const std::int64_t height = image.size(1) * size / shorter;
    const std::int64_t width = image.size(2) * size / shorter;
    resized = at::_upsample_bilinear2d_aa(image.unsqueeze(0).to(at::kFloat), {height, width},
                                          /*align_corners=*/false)
                  .squeeze(0)
                  .round_()
                  .clamp_(0, 255)
                  .to(at::kByte);
  }
  const std::int64_t top = (resized.size(1) - size) / 2;
  const std::int64_t left = (resized.size(2) - size) / 2;
  return resized.narrow(1, top, size).narrow(2, left, size).contiguous();
}

at::Tensor make_grid(const at::Tensor& images, std::int64_t columns, std::int64_t zoom) {
  TORCH_CHECK(columns > 0 && zoom > 0, "a grid has columns and a zoom of at least 1");
  const at::Tensor enlarged =
      images.to(at::kCPU).repeat_interleave(zoom, 2).repeat_interleave(zoom, 3);
  const std::int64_t count = enlarged.size(0);
  const std::int64_t height = enlarged.size(2), width = enlarged.size(3);
  const std::int64_t rows = (count + columns - 1) / columns;
  at::Tensor grid = at::full({enlarged.size(1), rows * (height + kBorder) + kBorder,
                              columns * (width + kBorder) + kBorder},
                             kMidGrey, at::kByte);
  for (std::int64_t i = 0; i < count; ++i) {
    grid.narrow(1, i / columns * (height + kBorder) + kBorder, height)
        .narrow(2, i % columns * (width + kBorder) + kBorder, width)
        .copy_(enlarged[i]);
  }
  return grid;
}

}  // namespace cdm
