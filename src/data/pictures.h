// SPDX-License-Identifier: MIT
// What data sets of pictures share: how a decoded picture becomes an image of the data set.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "cdm/config/config.h"

namespace cdm {

/// The channels with which pictures are decoded: those of config.channels; 3 where that is 0, until
/// own_channels() sees all of them.
std::int64_t channels_to_decode(const DataConfig& config);

/// uint8 [C, H, W] -> [C, size, size]. Resizes and cuts the picture if config.image_size is not 0;
/// otherwise it must have that size. Throws UserError, beginning with `source`, when it has not, or
/// is too long and narrow to be cut.
at::Tensor fit_picture(const at::Tensor& picture, const DataConfig& config, std::int64_t size,
                       const std::string& source);

/// The images [N, C, S, S] in the channels that config.channels asks for; 0 means the pictures'
/// own: one channel when none has a colour, else three.
at::Tensor own_channels(const at::Tensor& images, const DataConfig& config);

}  // namespace cdm
