// SPDX-License-Identifier: MIT
// Decoding pictures in memory: what image.cpp and decode_png.cpp share.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace cdm {

/// Pictures of more pixels are refused.
constexpr std::uint64_t kMaxPixels = std::uint64_t{1} << 28;

/// Checks the size that a picture's header claims; call it before memory is allocated. Throws
/// UserError when there are no pixels, more than kMaxPixels, or more than `most_pixels`, the number
/// that the file's bytes can encode at most.
void check_picture_size(const std::string& source, std::uint64_t width, std::uint64_t height,
                        std::uint64_t most_pixels);

/// Decodes a PNG to uint8 [H, W, channels], channels 1 or 3. Gamma and colour profiles are ignored,
/// as in PIL. Throws UserError when the picture is damaged or cut short; messages begin with
/// `source`.
at::Tensor decode_png(std::string_view bytes, std::int64_t channels, const std::string& source);

}  // namespace cdm
