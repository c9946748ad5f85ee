// SPDX-License-Identifier: MIT
// PNG through libpng's low-level interface, because the simplified one applies gamma. libpng is
// given the chunks that the pixels need: a wrong checksum in any other, such as a text, does no
// harm.
#include <ATen/ops/empty.h>
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "io/decode.h"

namespace cdm {
namespace {

struct Chunks {
  std::vector<std::string_view> needed;  // pieces of the file, in order
  std::string_view exif;                 // contents of the chunk eXIf; empty when there is none
};

bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

std::uint32_t big_endian(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = at; i < at + 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

/// Chunks that have nothing to do with the pixels as they are read.
constexpr std::string_view kRemarks[] = {"tEXt", "zTXt", "iTXt", "tIME", "gAMA", "cHRM", "iCCP",
                                         "sRGB", "sBIT", "bKGD", "hIST", "pHYs", "sPLT", "eXIf",
                                         "oFFs", "pCAL", "sCAL", "sTER", "acTL", "fcTL", "fdAT"};

/// Whether the pixels can be read without a chunk: a remark, or another ancillary chunk (a small
/// first letter) with a right checksum, but for the transparent colours tRNS. (A wrong checksum
/// under another name may be that of a tRNS with a damaged name.)
bool can_do_without(std::string_view name, bool is_sound) {
  if (std::find(std::begin(kRemarks), std::end(kRemarks), name) != std::end(kRemarks)) return true;
  return is_sound && std::all_of(name.begin(), name.end(), is_letter) && name[0] >= 'a' &&
         name != "tRNS";
}

/// A chunk is the length of its contents, its name, its contents, and a checksum of the latter two.
Chunks chunks_of(std::string_view bytes) {
  constexpr std::size_t kMagic = 8, kFrame = 12;
  Chunks found;
  std::size_t from = 0, at = kMagic;  // what lies between is needed
  while (at + kFrame <= bytes.size()) {
    const std::size_t length = big_endian(bytes, at);
    if (length > bytes.size() - at - kFrame) break;
    const std::size_t end = at + kFrame + length;
    const std::string_view checked = bytes.substr(at + 4, 4 + length), name = checked.substr(0, 4);
    const bool is_sound =
        name[0] >= 'a' && ::crc32_z(0, reinterpret_cast<const Bytef*>(checked.data()),
                                    checked.size()) == big_endian(bytes, end - 4);
    if (can_do_without(name, is_sound)) {
      found.needed.push_back(bytes.substr(from, at - from));
      from = end;
      if (name == "eXIf" && is_sound) found.exif = checked.substr(4);
    }
    at = end;
  }
  found.needed.push_back(bytes.substr(from));
  return found;
}

/// libpng reports errors by longjmp. The functions below that call it return false in that case.
/// They have no local objects with destructors, which longjmp would skip.
class PngDecoder {
 public:
  /// The bytes of a PNG, in pieces.
  explicit PngDecoder(std::vector<std::string_view> pieces)
      : pieces_(std::move(pieces)),
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
    // A remark that is cut short is here; libpng would allocate the length that it claims.
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
    while (count > 0) {
      if (self->piece_ == self->pieces_.size()) ::png_error(png, "it ends too early");
      std::string_view& piece = self->pieces_[self->piece_];
      const std::size_t taken = std::min(count, piece.size());
      std::memcpy(out, piece.data(), taken);
      piece.remove_prefix(taken);
      out += taken;
      count -= taken;
      if (piece.empty()) ++self->piece_;
    }
  }

  std::vector<std::string_view> pieces_;
  std::size_t piece_ = 0;  // the one being read
  char message_[128] = {};
  png_structp png_;
  png_infop info_;
};

}  // namespace

DecodedPicture decode_png(std::string_view bytes, std::int64_t channels,
                          const PictureSource& source) {
  const Chunks chunks = chunks_of(bytes);
  PngDecoder decoder(chunks.needed);
  const auto fail = [&] {
    return UserError(concat(source.name, ": not a whole PNG: ", printable(decoder.message())));
  };
  if (!decoder.read_header()) throw fail();
  const std::int64_t height = decoder.height(), width = decoder.width();
  // A deflated byte gives about a thousand bytes at most.
  check_picture_size(
      source, decoder.width(), decoder.height(),
      kPixelsPerByte * 8 * bytes.size() / static_cast<unsigned>(decoder.bits_per_pixel()));
  if (!decoder.read_as_rgba()) throw fail();
  // Not a vector: its zeros would use all the memory that a short, damaged file may claim to need.
  const at::Tensor rgba = at::empty({height, width, 4}, at::kByte);
  std::vector<png_bytep> rows;
  for (std::int64_t y = 0; y < height; ++y) {
    rows.push_back(rgba.mutable_data_ptr<std::uint8_t>() + 4 * y * width);
  }
  if (!decoder.read_pixels(rows.data())) throw fail();
  DecodedPicture picture = over_white(rgba, channels);
  picture.orientation = exif_orientation(chunks.exif);
  return picture;
}

}  // namespace cdm
