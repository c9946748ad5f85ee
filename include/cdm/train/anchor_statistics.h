// SPDX-License-Identifier: MIT
// The statistics of the training images that an anchor (cdm/model/anchor.h) is made of.
#pragma once

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"
#include "cdm/data/dataset.h"

namespace cdm {

/// What Anchor::load() needs for config.model.anchor: nothing for `none`. The images of `train`,
/// uint8 or float32 [N, C, H, W], count as data.dequantize scales them, and with
/// data.horizontal_flip their mirror images count, too.
///
/// The covariance of 8-bit images contains the variance g^2 / 12 of one 8-bit step g in every
/// pixel: that of the dequantisation noise, and without dequantisation a floor, so that pixels that
/// never change have a density. Other images have a floor of 1e-8.
///
/// It takes 2 N d^2 operations for images of d numbers and, up to Anchor::kMostDimensions, the
/// eigenvectors of a d x d matrix: seconds for Fashion-MNIST, a minute or two for CIFAR-10.
NamedTensors anchor_statistics(const RunConfig& config, const Dataset& train);

}  // namespace cdm
