// SPDX-License-Identifier: MIT
// Random changes of training images: mirrored, moved, turned.
//
// A change is either part of the data that the model learns (data.horizontal_flip, data.shift), or
// one that the network is told about (data.augment; Karras et al., 2022, arXiv 2206.00364, appendix
// F.2). In the first case the model learns the density of the changed images. In the second it
// learns the density of images given how they were changed, and wherever a model is used, it is
// asked for images that were not changed: the changes do not leak into densities and samples.
//
// All changes take 8-bit pixels to 8-bit pixels: nothing is interpolated.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/config/config.h"
#include "cdm/device/random.h"

namespace cdm {

/// How many numbers tell how an image was changed.
constexpr std::int64_t kAugmentationNumbers = 6;

/// How many numbers a network for this data is told: kAugmentationNumbers, or 0 for
/// data.augment = 0 and for data.kind = toy.
std::int64_t augmentation_numbers(const DataConfig& config);

struct AugmentedImages {
  at::Tensor images;  // as they were given, [B, C, H, W]
  /// What the network is told about each image, float32 [B, kAugmentationNumbers]: 1 or 0 for
  /// mirrored, turned by 90, by 180, by 270 degrees; then the shifts to the right and down, each
  /// divided by data.shift. All 0 for an image that was not changed. Undefined for
  /// data.augment = 0.
  at::Tensor told;
};

/// Changes the training images [B, C, H, W] (H = W) of step `step`, which are rows first_row,
/// first_row + 1, ... of its batch, as `config` says. What is drawn for a row depends only on the
/// seed, the step and the row's position in the batch. Everything is drawn and computed on the
/// images' device.
///
/// With data.augment = p above 0: mirrored left to right with probability p; turned by 90, 180 or
/// 270 degrees, each with probability p / 3; and moved with probability p. Otherwise: mirrored with
/// probability 1/2 if data.horizontal_flip is set, and always moved. An image is moved by whole
/// pixels, -data.shift .. data.shift, uniform and independent in both directions; where pixels are
/// missing, those of the border are repeated.
AugmentedImages augment(const at::Tensor& images, const DataConfig& config, std::uint64_t seed,
                        const StreamIndex& step, std::int64_t first_row);

}  // namespace cdm
