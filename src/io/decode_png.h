// SPDX-License-Identifier: MIT
// Decoding pictures in memory: what image.cpp and decode_png.cpp share.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace cdm {

/// Larger pictures are refused.
constexpr std::uint64_t kMaxPixels = std::uint64_t{1} << 28;

/// To be called before memory is taken. Throws UserError for a picture of no pixels, of more than
/// kMaxPixels, or of more than `most_pixels`, which its bytes cannot hold.
void check_picture_size(const std::string& source, std::uint64_t width, std::uint64_t height,
                        std::uint64_t most_pixels);

/// uint8 [H, W, channels]. The stored numbers are taken as they are: gamma and colour profiles are
/// left alone, as in PIL. Throws UserError; `source` names the file.
at::Tensor decode_png(std::string_view bytes, std::int64_t channels, const std::string& source);

}  // namespace cdm
