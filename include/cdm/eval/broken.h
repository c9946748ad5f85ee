// SPDX-License-Identifier: MIT
// Which generated images are broken, by a number that needs no network.
//
// A Frechet distance compares whole sets of images, and few ruined ones hardly move it. Ruined
// images are grains, specks or one flat colour. Their total variation is then far above or below
// that of every real image.
#pragma once

#include <ATen/core/Tensor.h>

namespace cdm {

/// The total variation of each image, float64 [N], CPU: the mean absolute difference, in 8-bit
/// steps (0..255), of pixels that are neighbours in a row or in a column. `images` are uint8 [N, C,
/// H, W], on any device. It is 0 for images of one pixel.
at::Tensor total_variation(const at::Tensor& images);

struct UsualRange {
  double low, high;
};

/// The range that holds the share `share` of the values [N], N >= 1: from their quantile
/// (1 - share) / 2 to their quantile (1 + share) / 2, interpolated linearly.
UsualRange usual_range(const at::Tensor& values, double share = 0.999);

/// Whether each image is broken, bool [N]: its total variation, in `variation` [N], lies outside of
/// `range`, that of real images. Of other real images, a share of 0.001 is expected to be.
at::Tensor is_broken(const at::Tensor& variation, const UsualRange& range);

}  // namespace cdm
