// SPDX-License-Identifier: MIT
// PNG through libpng's low-level interface, because the simplified one applies gamma.
#include "io/decode_png.h"

#include <ATen/ops/empty.h>
#include <png.h>

#include <csetjmp>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

/// libpng reports errors by longjmp. The functions below that call it return false in that case.
/// They have no local objects with destructors, which longjmp would skip.
class PngDecoder {
 public:
  explicit PngDecoder(std::string_view bytes)
      : rest_(bytes),
        png_(::png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &on_error, &on_warning)),
        info_(::png_create_info_struct(png_)) {
    if (info_ == nullptr) throw std::runtime_error("libpng cannot start: another version?");
  }
  ~PngDecoder() { ::png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    ::png_set_read_fn(png_, this, &on_read);
    ::png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    // Ignores all chunks that are not needed for the pixels, such as compressed text.
    ::png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    ::png_read_info(png_, info_);
    return true;
  }

  std::uint32_t width() const { return ::png_get_image_width(png_, info_); }
  std::uint32_t height() const { return ::png_get_image_height(png_, info_); }
  int bits_per_pixel() const {
    return ::png_get_bit_depth(png_, info_) * ::png_get_channels(png_, info_);
  }

  /// Makes read_pixels() give 8-bit RGBA.
  bool read_as_rgba() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    ::png_set_expand(png_);
    ::png_set_scale_16(png_);
    ::png_set_gray_to_rgb(png_);
    ::png_set_add_alpha(png_, 0xff, PNG_FILLER_AFTER);
    ::png_set_interlace_handling(png_);
    ::png_read_update_info(png_, info_);
    return ::png_get_rowbytes(png_, info_) == std::size_t{4} * width();
  }

  bool read_pixels(png_bytep* rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    ::png_read_image(png_, rows);
    ::png_read_end(png_, nullptr);
    return true;
  }

  const char* message() const { return message_; }

 private:
  static void on_error(png_structp png, png_const_charp message) {
    auto* const self = static_cast<PngDecoder*>(::png_get_error_ptr(png));
    std::strncpy(self->message_, message, sizeof(self->message_) - 1);
    ::png_longjmp(png, 1);
  }
  static void on_warning(png_structp /*png*/, png_const_charp /*message*/) {}
  static void on_read(png_structp png, png_bytep out, std::size_t count) {
    auto* const self = static_cast<PngDecoder*>(::png_get_io_ptr(png));
    if (count > self->rest_.size()) ::png_error(png, "it ends too early");
    std::memcpy(out, self->rest_.data(), count);
    self->rest_.remove_prefix(count);
  }

  std::string_view rest_;
  char message_[128] = {};
  png_structp png_;
  png_infop info_;
};

/// The value (0 .. 255) of a pixel with opacity `alpha` (0 .. 255) in front of white.
unsigned blend(unsigned value, unsigned alpha) {
  return (value * alpha + 255 * (255 - alpha) + 127) / 255;
}

}  // namespace

at::Tensor decode_png(std::string_view bytes, std::int64_t channels, const std::string& source) {
  PngDecoder decoder(bytes);
  const auto fail = [&] {
    return UserError(concat(source, ": not a whole PNG: ", decoder.message()));
  };
  if (!decoder.read_header()) throw fail();
  const std::int64_t height = decoder.height(), width = decoder.width();
  // A deflated byte gives about a thousand bytes at most.
  check_picture_size(source, decoder.width(), decoder.height(),
                     1100 * 8 * bytes.size() / static_cast<unsigned>(decoder.bits_per_pixel()));
  if (!decoder.read_as_rgba()) throw fail();
  // Not a vector: its zeros would use all the memory that a short, damaged file may claim to need.
  const at::Tensor decoded = at::empty({height, width, 4}, at::kByte);
  auto* const rgba = decoded.mutable_data_ptr<std::uint8_t>();
  std::vector<png_bytep> rows;
  for (std::int64_t y = 0; y < height; ++y) rows.push_back(rgba + 4 * y * width);
  if (!decoder.read_pixels(rows.data())) throw fail();

  at::Tensor image = at::empty({height, width, channels}, at::kByte);
  auto* out = image.mutable_data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < decoded.numel(); i += 4) {
    const unsigned alpha = rgba[i + 3];
    const unsigned red = blend(rgba[i], alpha);
    const unsigned green = blend(rgba[i + 1], alpha);
    const unsigned blue = blend(rgba[i + 2], alpha);
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
  return image;
}

}  // namespace cdm
