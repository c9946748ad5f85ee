// SPDX-License-Identifier: MIT
// Pictures: PNG and JPEG in, PNG out.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

namespace cdm {

/// Decodes a PNG or JPEG (told by its bytes, not its name) to uint8 [channels, H, W], channels 1
/// (grey, by the decoder's luma weights) or 3 (RGB). Alpha is laid over white; 16-bit PNG is
/// reduced to 8. Throws UserError naming the file when it is not a whole picture.
at::Tensor read_image(const std::filesystem::path& path, std::int64_t channels);

/// uint8 [C, H, W], C 1 or 3, any device. Written beside `path`, then renamed.
void write_png(const std::filesystem::path& path, const at::Tensor& image);

/// uint8 [C, H, W] -> [C, size, size]: the shorter side is resized to `size` (bilinear with
/// antialiasing), then the centre square is cut out. An image already of that size is unchanged.
at::Tensor resize_and_center_crop(const at::Tensor& image, std::int64_t size);

/// uint8 [N, C, H, W] -> one picture [C, rows * (H + 2) + 2, columns * (W + 2) + 2], row by row on
/// a mid-grey ground; each image is first enlarged `zoom` times (nearest).
at::Tensor make_grid(const at::Tensor& images, std::int64_t columns, std::int64_t zoom = 1);

}  // namespace cdm
