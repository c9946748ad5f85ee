// SPDX-License-Identifier: MIT
// Images drawn from densities that are known, to measure a model's likelihoods against (the paper's
// figure 7) and to show what it has over its ancestors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/data/dataset.h"

namespace cdm {

/// A density over images [C, H, W] of d = C H W values, in the model's scale.
///   uniform:  U[-g/2, g/2]^d, g = data.toy_width
///   gaussian: mean and covariance of the training images in data.path, in [-1, 1], averaged down
///             to data.image_size; one 8-bit step's variance, (2/255)^2 / 12, on the diagonal
///   peaks:    N(-1/2, w^2 I) or N(1/2, w^2 I), either as likely, w = data.toy_width
class ToyDistribution {
 public:
  /// Throws UserError when data.image_size or data.channels is 0, and as load_dataset does.
  explicit ToyDistribution(const DataConfig& config);

  /// Images 0 .. count-1 of a split, float32 [count, C, H, W]. Image i is the same for any count.
  at::Tensor sample(std::int64_t count, Split split) const;

  /// Exact log density in nats of x [N, C, H, W]: float64 [N]; -infinity outside the support, whose
  /// edges are a float32 rounding wide.
  at::Tensor log_prob(const at::Tensor& x) const;

 private:
  DataConfig config_;
  // Of gaussian, float64: [d], and [d, d], whose product with its transpose is the covariance.
  at::Tensor mean_, factor_;
};

}  // namespace cdm
