// SPDX-License-Identifier: MIT
// Decodes many pictures, of files or archives, into one tensor, on all cores.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "io/decode.h"

namespace cdm {

/// The pictures of a data set, in its order.
struct PictureNames {
  std::string place;               // the folder or archive that holds them
  std::vector<std::string> names;  // within it, with '/' between folders
  std::string separator = "/";     // between place and name

  std::string whole(std::size_t i) const { return place + separator + names[i]; }
};

/// How pictures become images.
struct PictureShape {
  std::int64_t size = 0;      // of the images, in pixels; 0 = that of the first picture
  std::int64_t channels = 0;  // 1, 3, or 0 = 1 if no picture has a colour, else 3
  /// A picture, uint8 [C, H, W], as uint8 [C, size, size]. Its UserError says what is wrong with
  /// the picture, without the file's name: "is 1 x 99 (height x width), ...".
  std::function<at::Tensor(const at::Tensor& picture, std::int64_t size)> fit;
};

/// The shape that config.image_size and config.channels ask for.
PictureShape shape_for(const DataConfig& config);

/// The images of the pictures of a data set that could be read.
struct PictureImages {
  at::Tensor images;               // uint8 [N, C, size, size]
  std::vector<std::int64_t> kept;  // which of the names they are, ascending
  std::string conversion;          // as Dataset::conversion
};

/// Decodes a picture with that number of channels. `admit` is that of PictureSource. Throws
/// UserError when the picture cannot be read.
using DecodePicture = std::function<Picture(
    std::int64_t channels, const std::function<void(std::uint64_t pixels)>& admit)>;

/// Decodes pictures into one tensor, some at a time. The result does not depend on the number of
/// threads. At any moment the pictures being decoded have 2^28 pixels together at most. A progress
/// line counts the pictures.
class PictureReader {
 public:
  PictureReader(PictureNames names, PictureShape shape);
  ~PictureReader();

  /// Decodes the pictures whose numbers in `names` are `numbers`, on all cores: decode[k] is that
  /// of picture numbers[k]. Pictures that cannot be read or do not fit are left to finish(). Throws
  /// UserError when all have the size of the first that can be read, and that is no square.
  void read(const std::vector<std::int64_t>& numbers, const std::vector<DecodePicture>& decode);

  /// To be called when all pictures were read. At most `most_skipped` that cannot be read are left
  /// out, with a warning that names them. Throws UserError that names what cannot be read, if that
  /// is more; else what does not fit; at most 10 of each, and their number.
  PictureImages finish(std::int64_t most_skipped);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Decodes the files PLACE/NAME.
PictureImages read_picture_files(const PictureNames& names, const PictureShape& shape,
                                 std::int64_t most_skipped);

}  // namespace cdm
