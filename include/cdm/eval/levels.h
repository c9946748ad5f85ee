// SPDX-License-Identifier: MIT
// How well a model tells noise levels apart, and how well it denoises at each.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "cdm/data/batches.h"
#include "cdm/diffusion/model.h"

namespace cdm {

struct LevelOptions {
  std::int64_t repeats = 1;  // levels at which each image is seen
  std::uint64_t seed = 0;    // of the noise, and of that of dequantisation
  std::int64_t batch_size = 128;
  Dequantization dequantization = Dequantization::none;  // of the images looked at
};

/// Bins of equal width that confidences in 0..1 are sorted into.
constexpr std::int64_t kCalibrationBins = 15;

/// Rows of a confusion matrix, at most: as many as can be looked at.
constexpr std::int64_t kMostConfusionRows = 100;

/// Of N images, image i at levels i, i + N, i + 2N, ... modulo K, one further whenever these come
/// round: each level has its share, and in K repeats each image sees every level once. What a plain
/// denoiser does not have (all but `count` and `mse`) is undefined.
struct LevelStatistics {
  at::Tensor count;     // int64 [K], images seen at each level
  at::Tensor mse;       // float64 [K], mean squared error of eps per pixel
  at::Tensor ce;        // float64 [K], mean of -log p(t | x_t), nats
  at::Tensor accuracy;  // float64 [K], share whose most probable level is the right one

  /// int64 [G, G], images of level (row) taken for level (column). Where there are many levels,
  /// each row and column is `confusion_group` = ceil(K / kMostConfusionRows) neighbouring ones.
  at::Tensor confusion;
  std::int64_t confusion_group = 1;

  // By the probability given to the most probable level, in kCalibrationBins bins: how many, the
  // sum of those probabilities, and how many were right. float64 each.
  at::Tensor bin_count, bin_confidence, bin_correct;

  /// Means over all images; those of mse over levels with both image and noise, neither end.
  double mean_ce() const;
  double mean_accuracy() const;
  double mean_mse() const;
  /// Expected calibration error (Guo et al., 2017): mean over images of the distance between
  /// confidence and accuracy of their bin.
  double calibration_error() const;
};

/// Of images, uint8 [N, C, H, W] or values that are no pixels, with labels int64 [N] (or
/// undefined). `on_progress` is told the number of images done, each as often as it is repeated.
LevelStatistics level_statistics(const Model& model, const LevelOptions& options,
                                 const at::Tensor& images, const at::Tensor& labels,
                                 const std::function<void(std::int64_t)>& on_progress = {});

/// Denoising error at one level: means over images and pixels.
struct DenoisingError {
  std::int64_t level;
  double sigma;
  double mse_noise;  // of eps
  double mse_image;  // of the predicted x_0: (sigma / signal)^2 times as much
};

/// `levels`: each in 1..R-1 for the reference level R. Every level and model sees the same noise
/// (of options.seed) on image i, images [N, C, H, W] in the model's scale.
std::vector<DenoisingError> denoising_errors(
    const Model& model, const std::vector<std::int64_t>& levels, const LevelOptions& options,
    const at::Tensor& images, const at::Tensor& labels,
    const std::function<void(std::int64_t)>& on_progress = {});

/// The noise of images first .. first + B - 1, like `like` [B, C, H, W].
at::Tensor evaluation_noise(std::uint64_t seed, std::int64_t first, const at::Tensor& like);

/// x_0 predicted from x_t [B, C, H, W], all at level `t`.
at::Tensor denoise(const Model& model, const at::Tensor& x_t, std::int64_t t,
                   const at::Tensor& labels);

}  // namespace cdm
