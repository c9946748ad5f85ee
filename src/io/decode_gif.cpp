// SPDX-License-Identifier: MIT
// The first frame of a GIF, through giflib.
#include <ATen/ops/zeros.h>
#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "io/decode.h"

namespace cdm {
namespace {

int read_bytes(GifFileType* gif, GifByteType* out, int count) {
  auto& rest = *static_cast<std::string_view*>(gif->UserData);
  const std::size_t taken = std::min(rest.size(), static_cast<std::size_t>(std::max(count, 0)));
  std::memcpy(out, rest.data(), taken);
  rest.remove_prefix(taken);
  return static_cast<int>(taken);
}

void close(GifFileType* gif) { ::DGifCloseFile(gif, nullptr); }

/// The row of an interlaced picture that is stored as row `stored`: every eighth from row 0, every
/// eighth from 4, every fourth from 2, then every second from 1.
std::int64_t interlaced_row(std::int64_t stored, std::int64_t height) {
  constexpr std::array<std::int64_t, 4> kFirst = {0, 4, 2, 1}, kStep = {8, 8, 4, 2};
  for (std::size_t pass = 0; pass < 4; ++pass) {
    const std::int64_t rows =
        std::max<std::int64_t>((height - kFirst[pass] + kStep[pass] - 1) / kStep[pass], 0);
    if (stored < rows) return kFirst[pass] + stored * kStep[pass];
    stored -= rows;
  }
  return 0;  // not reached: the passes have all rows
}

}  // namespace

DecodedPicture decode_gif(std::string_view bytes, std::int64_t channels,
                          const PictureSource& source) {
  const auto fail = [&](const char* reason) {
    return UserError(concat(source.name, ": not a whole GIF: ",
                            reason == nullptr ? "it ends too early" : printable(reason)));
  };
  std::string_view rest = bytes;
  int error = 0;
  const std::unique_ptr<GifFileType, decltype(&close)> gif(::DGifOpen(&rest, &read_bytes, &error),
                                                           &close);
  if (!gif) throw fail(::GifErrorString(error));
  const auto check = [&](int status) {
    if (status == GIF_ERROR) throw fail(::GifErrorString(gif->Error));
  };

  // What comes before the first frame: extensions, one of which may name a transparent colour.
  GraphicsControlBlock control = {};
  control.TransparentColor = NO_TRANSPARENT_COLOR;
  GifRecordType record = UNDEFINED_RECORD_TYPE;
  while (true) {
    check(::DGifGetRecordType(gif.get(), &record));
    if (record == IMAGE_DESC_RECORD_TYPE) break;
    if (record != EXTENSION_RECORD_TYPE) throw fail("it has no picture");
    int kind = 0;
    GifByteType* block = nullptr;  // its length, then its contents
    check(::DGifGetExtension(gif.get(), &kind, &block));
    while (block != nullptr) {
      if (kind == GRAPHICS_EXT_FUNC_CODE) {
        ::DGifExtensionToGCB(block[0], block + 1, &control);  // ignores a block of another length
      }
      check(::DGifGetExtensionNext(gif.get(), &block));
    }
  }
  check(::DGifGetImageDesc(gif.get()));
  const GifImageDesc& frame = gif->Image;
  const ColorMapObject* const colours = frame.ColorMap != nullptr ? frame.ColorMap : gif->SColorMap;
  if (colours == nullptr) throw fail("it has no table of colours");

  // Without a size of the screen, it is that of the frame, as in browsers.
  const bool has_screen = gif->SWidth > 0 && gif->SHeight > 0;
  const std::int64_t width = has_screen ? gif->SWidth : frame.Width;
  const std::int64_t height = has_screen ? gif->SHeight : frame.Height;
  check_picture_size(source, static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height),
                     most_pixels_of(bytes));
  if (frame.Width <= 0 || frame.Height <= 0) throw fail("it has no pixels");
  // What the frame does not cover is transparent; what lies outside of the screen is not seen.
  const at::Tensor rgba = at::zeros({height, width, 4}, at::kByte);
  auto* const pixels = rgba.mutable_data_ptr<std::uint8_t>();
  std::vector<GifByteType> line(static_cast<std::size_t>(frame.Width));
  for (std::int64_t stored = 0; stored < frame.Height; ++stored) {
    check(::DGifGetLine(gif.get(), line.data(), frame.Width));
    const std::int64_t y =
        frame.Top + (frame.Interlace ? interlaced_row(stored, frame.Height) : stored);
    if (y >= height) continue;
    for (std::int64_t i = 0; i < frame.Width && frame.Left + i < width; ++i) {
      const int number = line[static_cast<std::size_t>(i)];
      if (number == control.TransparentColor) continue;
      if (number >= colours->ColorCount) throw fail("a colour that is not in its table");
      const GifColorType& colour = colours->Colors[number];
      auto* const pixel = pixels + 4 * (y * width + frame.Left + i);
      pixel[0] = colour.Red;
      pixel[1] = colour.Green;
      pixel[2] = colour.Blue;
      pixel[3] = 255;
    }
  }
  check(::DGifGetRecordType(gif.get(), &record));  // the file goes on, or says that it ends here
  return over_white(rgba, channels);
}

}  // namespace cdm
