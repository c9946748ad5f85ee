// SPDX-License-Identifier: MIT
// Images drawn from densities that are known, to measure a model's likelihoods against (the paper's
// figure 7) and to show what it has over its ancestors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "cdm/data/dataset.h"

namespace cdm {

/// A density over images [C, H, W] of d = C H W values, in the model's scale.
class ToyDensity {
 public:
  ToyDensity() = default;
  ToyDensity(const ToyDensity&) = delete;
  ToyDensity& operator=(const ToyDensity&) = delete;
  virtual ~ToyDensity() = default;

  /// Images 0 .. count-1 of a split, float32 [count, C, H, W] on the CPU. Image i is the same for
  /// any count and any seed of the run.
  virtual at::Tensor sample(std::int64_t count, Split split) const = 0;

  /// Exact log density in nats of x [N, C, H, W]: float64 [N] on the CPU; -infinity where the
  /// density is zero.
  virtual at::Tensor log_prob(const at::Tensor& x) const = 0;
};

/// The density that data.toy names. Throws UserError when data.image_size or data.channels is 0,
/// and, for gaussian, when data.horizontal_flip is set or the images in data.path do not serve.
///   uniform:  U[-g/2, g/2]^d, g = data.toy_width; its edges are a float32 rounding wide
///   gaussian: mean and covariance of the training images in data.path, in [-1, 1], averaged down
///             to data.image_size; one 8-bit step's variance, (2/255)^2 / 12, on the diagonal
///   peaks:    N(-1/2, w^2 I) or N(1/2, w^2 I), either as likely, w = data.toy_width
std::unique_ptr<ToyDensity> make_toy_density(const DataConfig& config);

}  // namespace cdm
