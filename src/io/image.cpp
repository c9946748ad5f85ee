// SPDX-License-Identifier: MIT
#include "cdm/io/image.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string_view>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "io/decode_png.h"

namespace cdm {
namespace {

constexpr std::string_view kPngMagic = "\x89PNG\r\n\x1a\n";
constexpr std::string_view kJpegMagic = "\xff\xd8\xff";
constexpr std::int64_t kBorder = 2;
constexpr std::uint8_t kMidGrey = 128;

/// As decode_png(), for a JPEG.
at::Tensor decode_jpeg(std::string_view bytes, std::int64_t channels, const std::string& source) {
  const std::unique_ptr<void, decltype(&::tjDestroy)> decoder(::tjInitDecompress(), &::tjDestroy);
  const auto fail = [&](const std::string& reason) {
    return UserError(concat(source, ": not a whole JPEG: ", reason));
  };
  const auto* const data = reinterpret_cast<const unsigned char*>(bytes.data());
  int width = 0, height = 0, subsampling = 0, colours = 0;
  if (::tjDecompressHeader3(decoder.get(), data, bytes.size(), &width, &height, &subsampling,
                            &colours) != 0) {
    throw fail(::tjGetErrorStr2(decoder.get()));
  }
  if (colours == TJCS_CMYK || colours == TJCS_YCCK) {
    throw UserError(concat(source, ": is a JPEG of CMYK inks; grey and colour ones are read"));
  }
  // A block of 8 x 8 pixels takes at least one bit.
  check_picture_size(source, width, height, 512 * bytes.size());
  at::Tensor image = at::empty({height, width, channels}, at::kByte);
  if (::tjDecompress2(decoder.get(), data, bytes.size(), image.mutable_data_ptr<std::uint8_t>(),
                      width, 0, height, channels == 1 ? TJPF_GRAY : TJPF_RGB,
                      TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) != 0) {
    throw fail(::tjGetErrorStr2(decoder.get()));
  }
  return image;
}

}  // namespace

void check_picture_size(const std::string& source, std::uint64_t width, std::uint64_t height,
                        std::uint64_t most_pixels) {
  if (width == 0 || height == 0 || width > kMaxPixels / height) {
    throw UserError(concat(source, ": is ", width, " x ", height,
                           " pixels; pictures of 1 to 2^28 pixels are read"));
  }
  if (width * height > most_pixels) {
    throw UserError(concat(source, ": not a whole picture: too few bytes for ", width, " x ",
                           height, " pixels"));
  }
}

at::Tensor read_image(const std::filesystem::path& path, std::int64_t channels) {
  return decode_image(read_file(path), channels, path.string());
}

at::Tensor decode_image(std::string_view bytes, std::int64_t channels, const std::string& source) {
  TORCH_CHECK(channels == 1 || channels == 3, "pictures have 1 or 3 channels, not ", channels);
  at::Tensor image;
  if (bytes.starts_with(kPngMagic)) {
    image = decode_png(bytes, channels, source);
  } else if (bytes.starts_with(kJpegMagic)) {
    image = decode_jpeg(bytes, channels, source);
  } else {
    throw UserError(concat(source, ": neither a PNG nor a JPEG picture"));
  }
  return image.permute({2, 0, 1}).contiguous();
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
