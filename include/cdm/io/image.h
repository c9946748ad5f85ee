// SPDX-License-Identifier: MIT
// Reads pictures of the usual formats, writes PNG.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

namespace cdm {

/// Decodes a PNG, JPEG, WebP, GIF, BMP or TIFF picture to uint8 [channels, H, W]. The first bytes
/// of the file say which it is, not its name. The first picture of several is read. It is turned as
/// its EXIF orientation asks. `channels` is 1 (grey: 0.299 R + 0.587 G + 0.114 B) or 3 (RGB).
/// Transparent pixels are blended with white; 16 bits are reduced to 8. Throws UserError, naming
/// the file, when it is not an ordinary file, cannot be read, is damaged or cut short, or has no
/// pixels or more than 2^28.
at::Tensor read_image(const std::filesystem::path& path, std::int64_t channels);

/// Writes an image, uint8 [C, H, W] with C = 1 or 3 on any device: under a temporary name beside
/// `path`, then renamed.
void write_png(const std::filesystem::path& path, const at::Tensor& image);

/// uint8 [C, H, W] -> uint8 [C, size, size]. Resizes the image so that its shorter side has `size`
/// pixels (bilinear with antialiasing), then cuts out the square in the centre. Pixels are
/// unchanged when the shorter side already has `size` pixels.
at::Tensor resize_and_center_crop(const at::Tensor& image, std::int64_t size);

/// uint8 [N, C, H, W] -> one picture uint8 [C, rows (zoom H + 2) + 2, columns (zoom W + 2) + 2] on
/// the CPU, with rows = N / columns rounded up. Images are enlarged `zoom` times by repeating
/// pixels, and placed row by row on mid-grey with borders of 2 pixels.
at::Tensor make_grid(const at::Tensor& images, std::int64_t columns, std::int64_t zoom = 1);

}  // namespace cdm
