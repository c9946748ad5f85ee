// SPDX-License-Identifier: MIT
// Log-likelihoods of the images of a data set, by one forward pass per image.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "cdm/data/batches.h"
#include "cdm/diffusion/model.h"
#include "cdm/distributed/process_group.h"

namespace cdm {

struct ScoreOptions {
  std::int64_t level = 0;  // t of log p_t; no noise is added to the images, for any t
  Dequantization dequantization = Dequantization::none;
  std::int64_t draws = 1;  // dequantisation noises per image, for Dequantization::uniform
  std::uint64_t seed = 0;  // of that noise
  std::int64_t batch_size = 256;
};

/// Scores of N images in nats: float64 [N], CPU.
struct Scores {
  /// log p_t(x) of each image. With dequantisation, the mean of log p_t(u + z_k) over draws k of
  /// the noise z.
  at::Tensor log_prob;
  /// The log of the mean of p_t(u + z_k) over draws k. It is a lower bound, in expectation, of
  /// log P(u) = log E p(u + z), tighter than log_prob, and tighter with more draws (Burda et al.,
  /// 2016). With one draw it equals log_prob.
  at::Tensor importance_weighted;
};

/// Scores `images`, [N, C, H, W]: uint8 pixels, or float32 values in the model's scale. Labels are
/// int64 [N] or undefined. `on_progress` is called with the number of images done. The processes of
/// `group` score batches in turn, and each of them returns all scores. Throws UserError when the
/// model has no density.
Scores score_images(const Model& model, const ScoreOptions& options, const at::Tensor& images,
                    const at::Tensor& labels,
                    const std::function<void(std::int64_t)>& on_progress = {},
                    const ProcessGroup& group = ProcessGroup::alone());

/// log2 of the number of 8-bit steps in one unit of x: log2(127.5) without dequantisation,
/// log2(128) with. Adding it to bits/dim of the density of x, which is in [-1, 1], gives bits/dim
/// of the density per 8-bit step.
double bits_offset(Dequantization dequantization);
/// The same for data with pixels; 0 for data without, whose densities are per unit of x.
double bits_offset(const Dataset& dataset, Dequantization dequantization);

/// Bits per dimension, -log_prob / (dimensions ln 2) + offset, of each element.
at::Tensor bits_per_dim(const at::Tensor& log_prob_nats, std::int64_t dimensions, double offset);

/// The mean of values [N], its standard error, and the bounds of its 95 % confidence interval by
/// the normal approximation. For a single value, all but the mean are NaN.
struct MeanEstimate {
  double mean, standard_error, low, high;
};
MeanEstimate estimate_mean(const at::Tensor& values);
/// The same for a mean and a standard error that are known.
MeanEstimate interval_95(double mean, double standard_error);

/// Bits per dimension, float64 [N], of test images under a Gaussian with the mean and covariance of
/// the training images. Both are uint8 [N, C, H, W], scaled as `dequantization` says. For uniform
/// it is the expectation over the noise, in closed form. The variance of one 8-bit step, step^2 /
/// 12, is added to the diagonal of the covariance, so that it is never singular.
at::Tensor gaussian_bits_per_dim(const at::Tensor& train_images, const at::Tensor& test_images,
                                 Dequantization dequantization);

}  // namespace cdm
