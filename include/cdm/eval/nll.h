// SPDX-License-Identifier: MIT
// Negative log-likelihood of a data set, image by image, by one forward pass each.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "cdm/data/batches.h"
#include "cdm/diffusion/model.h"
#include "cdm/distributed/process_group.h"

namespace cdm {

struct ScoreOptions {
  std::int64_t level = 0;  // t of log p_t; at t > 0 the clean image is scored under p_t
  Dequantization dequantization = Dequantization::none;
  std::int64_t draws = 1;  // per image, for uniform; log p is averaged over them
  std::uint64_t seed = 0;
  std::int64_t batch_size = 256;
};

/// In nats, float64 [N], CPU.
struct Scores {
  at::Tensor log_prob;  // log p_t; the mean of log p_t(u + z_k) over draws k of the noise
  /// log of the mean of p_t(u + z_k): a tighter bound on log P(u) = log E p(u + z), the more so the
  /// more draws (Burda et al., 2016). The same as log_prob with one draw.
  at::Tensor importance_weighted;
};

/// Scores of images uint8 [N, C, H, W] (or of values that are not pixels) with labels [N] (or
/// undefined) under a model with a density. `on_progress` is told the number of images done. The
/// processes of `group` take batches in turn and all get all scores; a batch is the same whoever
/// takes it.
Scores score_images(const Model& model, const ScoreOptions& options,
                    const at::Tensor& images, const at::Tensor& labels,
                    const std::function<void(std::int64_t)>& on_progress = {},
                    const ProcessGroup& group = ProcessGroup::alone());

/// log2 of how many 8-bit steps one unit of x holds: log2(127.5) without dequantisation,
/// log2(128) with. Adding it turns a density on [-1, 1] into one per 8-bit step.
double bits_offset(Dequantization dequantization);
/// The same, or 0 for data without pixels, whose densities are per unit of x.
double bits_offset(const Dataset& dataset, Dequantization dequantization);

/// -log_prob / (dimensions ln 2) + offset, element by element.
at::Tensor bits_per_dim(const at::Tensor& log_prob_nats, std::int64_t dimensions, double offset);

/// Mean of values [N] with its standard error and normal 95 % interval; NaN for a single value.
struct MeanEstimate {
  double mean, standard_error, low, high;
};
MeanEstimate estimate_mean(const at::Tensor& values);

/// Bits per dimension that a Gaussian with the training images' mean and covariance gives each of
/// the test images (both uint8 [N, C, H, W]) in the scaling of `dequantization`: float64 [N]. For
/// uniform, the mean over all noise, in closed form. The covariance has one 8-bit step's uniform
/// variance, (1/12 step^2), on its diagonal, so that it is never singular.
at::Tensor gaussian_bits_per_dim(const at::Tensor& train_images, const at::Tensor& test_images,
                                 Dequantization dequantization);

}  // namespace cdm
