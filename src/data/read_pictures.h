// SPDX-License-Identifier: MIT
// Decodes many picture files into one tensor, on all cores.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace cdm {

struct PictureFiles {
  std::filesystem::path folder;    // for messages
  std::vector<std::string> names;  // relative to it

  std::filesystem::path path(std::size_t i) const { return folder / names[i]; }
};

/// How pictures become images.
struct PictureShape {
  std::int64_t size = 0;      // of the images, in pixels; 0 = that of the first picture
  std::int64_t channels = 0;  // 1, 3, or 0 = 1 if no picture has a colour, else 3
  /// A picture, uint8 [C, H, W], as uint8 [C, size, size]. Its UserError says what is wrong with
  /// the picture, without the file's name: "is 1 x 99 (height x width), ...".
  std::function<at::Tensor(const at::Tensor& picture, std::int64_t size)> fit;
};

struct DecodedPictures {
  at::Tensor images;               // uint8 [N, C, size, size]
  std::vector<std::int64_t> kept;  // which of the names they are, ascending
  std::string conversion;          // as Dataset::conversion
};

/// Decodes the pictures. At most `most_skipped` that cannot be read are left out, with a warning
/// that names them. Throws UserError that names what cannot be read, if that is more; else what
/// does not fit; at most 10 of each, and their number. The result does not depend on the number of
/// threads. At any moment the pictures being decoded have 2^28 pixels together at most.
DecodedPictures read_pictures(const PictureFiles& files, const PictureShape& shape,
                              std::int64_t most_skipped);

/// PictureShape::fit that resizes the shorter side and cuts out the middle.
at::Tensor fit_by_resizing(const at::Tensor& picture, std::int64_t size);

/// PictureShape::fit for pictures that must have that size.
at::Tensor fit_unchanged(const at::Tensor& picture, std::int64_t size);

}  // namespace cdm
