// SPDX-License-Identifier: MIT
// WebP through libwebp: a still picture, or the first frame of an animation.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "io/decode.h"

namespace cdm {

DecodedPicture decode_webp(std::string_view bytes, std::int64_t channels,
                           const PictureSource& source) {
  const auto fail = [&](const char* reason) {
    return UserError(concat(source.name, ": not a whole WebP: ", reason));
  };
  const WebPData data = {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPDemuxer, decltype(&::WebPDemuxDelete)> parts(::WebPDemux(&data),
                                                                         &::WebPDemuxDelete);
  if (!parts) throw fail("it is damaged, or ends too early");
  const std::int64_t width = ::WebPDemuxGetI(parts.get(), WEBP_FF_CANVAS_WIDTH);
  const std::int64_t height = ::WebPDemuxGetI(parts.get(), WEBP_FF_CANVAS_HEIGHT);
  check_picture_size(source, static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height),
                     most_pixels_of(bytes));
  WebPIterator frame = {};
  const std::unique_ptr<WebPIterator, decltype(&::WebPDemuxReleaseIterator)> release(
      &frame, &::WebPDemuxReleaseIterator);
  if (::WebPDemuxGetFrame(parts.get(), 1, &frame) == 0 || frame.complete == 0) {
    throw fail("it has no picture");
  }
  // What the first frame of an animation does not cover is transparent.
  const bool covers = frame.width == width && frame.height == height;
  const at::Tensor rgba =
      covers ? at::empty({height, width, 4}, at::kByte) : at::zeros({height, width, 4}, at::kByte);
  if (frame.x_offset < 0 || frame.y_offset < 0 || frame.x_offset + frame.width > width ||
      frame.y_offset + frame.height > height) {
    throw fail("a frame lies outside of it");
  }
  // The decoder refuses a frame whose own size does not fit into the rest of the buffer.
  const std::int64_t start = 4 * (frame.y_offset * width + frame.x_offset);
  int own_width = 0, own_height = 0;
  if (::WebPGetInfo(frame.fragment.bytes, frame.fragment.size, &own_width, &own_height) == 0 ||
      own_width != frame.width || own_height != frame.height ||
      ::WebPDecodeRGBAInto(
          frame.fragment.bytes, frame.fragment.size, rgba.mutable_data_ptr<std::uint8_t>() + start,
          static_cast<std::size_t>(rgba.numel() - start), static_cast<int>(4 * width)) == nullptr) {
    throw fail("its pixels are damaged");
  }
  DecodedPicture picture = over_white(rgba, channels);
  WebPChunkIterator exif = {};
  if (::WebPDemuxGetChunk(parts.get(), "EXIF", 1, &exif) != 0) {
    picture.orientation =
        exif_orientation({reinterpret_cast<const char*>(exif.chunk.bytes), exif.chunk.size});
    ::WebPDemuxReleaseChunkIterator(&exif);
  }
  return picture;
}

}  // namespace cdm
