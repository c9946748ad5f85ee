// SPDX-License-Identifier: MIT
// The first picture of a TIFF, through libtiff.
#include <ATen/ops/empty.h>
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "io/decode.h"

namespace cdm {
namespace {

/// The file in memory, and libtiff's first message about it.
struct Stream {
  std::string_view bytes;
  std::uint64_t position = 0;
  char message[160] = {};
};

tmsize_t read_bytes(thandle_t handle, void* out, tmsize_t count) {
  auto& stream = *static_cast<Stream*>(handle);
  if (count <= 0 || stream.position >= stream.bytes.size()) return 0;
  const std::size_t taken =
      std::min<std::size_t>(static_cast<std::size_t>(count), stream.bytes.size() - stream.position);
  std::memcpy(out, stream.bytes.data() + stream.position, taken);
  stream.position += taken;
  return static_cast<tmsize_t>(taken);
}

tmsize_t write_nothing(thandle_t /*handle*/, void* /*in*/, tmsize_t /*count*/) { return 0; }

toff_t seek(thandle_t handle, toff_t offset, int from) {
  auto& stream = *static_cast<Stream*>(handle);
  if (from == SEEK_CUR) offset += stream.position;
  if (from == SEEK_END) offset += stream.bytes.size();
  stream.position = offset;
  return offset;
}

int close(thandle_t /*handle*/) { return 0; }

toff_t size_of(thandle_t handle) { return static_cast<Stream*>(handle)->bytes.size(); }

int keep_message(TIFF* /*tiff*/, void* data, const char* /*module*/, const char* format,
                 va_list arguments) {
  auto& stream = *static_cast<Stream*>(data);
  if (stream.message[0] == '\0') {
    std::vsnprintf(stream.message, sizeof(stream.message), format, arguments);
  }
  return 1;  // handled: nothing is printed
}

int ignore_warning(TIFF* /*tiff*/, void* /*data*/, const char* /*module*/, const char* /*format*/,
                   va_list /*arguments*/) {
  return 1;
}

}  // namespace

DecodedPicture decode_tiff(std::string_view bytes, std::int64_t channels,
                           const PictureSource& source) {
  Stream stream;
  stream.bytes = bytes;
  const auto fail = [&](const char* reason) {
    const char* const why = reason != nullptr           ? reason
                            : stream.message[0] == '\0' ? "it is damaged, or ends too early"
                                                        : stream.message;
    return UserError(concat(source.name, ": not a whole TIFF: ", printable(why)));
  };
  const std::uint64_t most_pixels = std::min(most_pixels_of(bytes), kMaxPixels);
  const std::unique_ptr<TIFFOpenOptions, decltype(&::TIFFOpenOptionsFree)> options(
      ::TIFFOpenOptionsAlloc(), &::TIFFOpenOptionsFree);
  ::TIFFOpenOptionsSetErrorHandlerExtR(options.get(), &keep_message, &stream);
  ::TIFFOpenOptionsSetWarningHandlerExtR(options.get(), &ignore_warning, nullptr);
  // Enough for all pixels of 16-bit RGBA in one strip.
  ::TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), static_cast<tmsize_t>(8 * most_pixels));
  const std::unique_ptr<TIFF, decltype(&::TIFFClose)> tiff(
      ::TIFFClientOpenExt("picture", "rm", &stream, &read_bytes, &write_nothing, &seek, &close,
                          &size_of, nullptr, nullptr, options.get()),
      &::TIFFClose);
  if (!tiff) throw fail(nullptr);
  std::uint32_t width = 0, height = 0;
  std::uint16_t orientation = ORIENTATION_TOPLEFT;
  ::TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width);
  ::TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height);
  ::TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_ORIENTATION, &orientation);
  check_picture_size(source, width, height, most_pixels);
  char reason[1024] = {};
  if (::TIFFRGBAImageOK(tiff.get(), reason) == 0) throw fail(reason);
  const at::Tensor rgba = at::empty({height, width, 4}, at::kByte);
  auto* const raster = reinterpret_cast<std::uint32_t*>(rgba.mutable_data_ptr<std::uint8_t>());
  // Asked for the picture's own orientation, libtiff leaves the order of the pixels as it is.
  if (::TIFFReadRGBAImageOriented(tiff.get(), width, height, raster, orientation,
                                  /*stopOnError=*/1) == 0) {
    throw fail(nullptr);
  }
  // The raster is premultiplied: what is missing to opacity is white.
  auto* pixel = rgba.mutable_data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < rgba.numel() / 4; ++i, pixel += 4) {
    const std::uint32_t value = raster[i];
    const unsigned missing = 255 - TIFFGetA(value);
    pixel[0] = static_cast<std::uint8_t>(std::min(255U, TIFFGetR(value) + missing));
    pixel[1] = static_cast<std::uint8_t>(std::min(255U, TIFFGetG(value) + missing));
    pixel[2] = static_cast<std::uint8_t>(std::min(255U, TIFFGetB(value) + missing));
    pixel[3] = 255;
  }
  DecodedPicture picture = over_white(rgba, channels);
  picture.orientation = orientation;
  return picture;
}

}  // namespace cdm
