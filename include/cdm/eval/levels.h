// SPDX-License-Identifier: MIT
// How well a model classifies noise levels, and how well it denoises at each level.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "cdm/data/batches.h"
#include "cdm/diffusion/model.h"

namespace cdm {

struct LevelOptions {
  std::int64_t repeats = 1;  // number of levels at which each image is evaluated
  std::uint64_t seed = 0;    // of the noise, also that of dequantisation
  std::int64_t batch_size = 128;
  Dequantization dequantization = Dequantization::none;  // of the images
};

/// Number of bins of equal width, in 0..1, into which confidences are sorted.
constexpr std::int64_t kCalibrationBins = 15;

/// Largest number of rows of a confusion matrix; a picture of more would be unreadable.
constexpr std::int64_t kMostConfusionRows = 100;

/// Statistics of a model on N images at each of its K noise levels. Image i is evaluated at levels
/// i, i + N, i + 2N, ... modulo K; when this sequence would repeat itself, it is shifted by one. So
/// all levels get about equally many images, and with K repeats each image is evaluated once at
/// every level. A plain denoiser has `count` and `mse` only; the other tensors are undefined.
struct LevelStatistics {
  at::Tensor count;     // int64 [K], number of images
  at::Tensor mse;       // float64 [K], mean squared error per pixel of the predicted eps
  at::Tensor ce;        // float64 [K], mean of -log p(t | x_t), in nats
  at::Tensor accuracy;  // float64 [K], fraction of images whose most probable level is theirs

  /// int64 [G, G]: the number of images of a level (row) whose most probable level is the column's.
  /// Each row and column stands for `confusion_group` = ceil(K / kMostConfusionRows) neighbouring
  /// levels.
  at::Tensor confusion;
  std::int64_t confusion_group = 1;

  /// Calibration: images are sorted into bins by their confidence, the probability of their most
  /// probable level. Each tensor is float64 [kCalibrationBins]: the number of images in each bin,
  /// the sum of their confidences, and the number of them whose most probable level is right.
  at::Tensor bin_count, bin_confidence, bin_correct;

  /// Means over all images. mean_mse() is over levels with both image and noise: all but the first
  /// and the last.
  double mean_ce() const;
  double mean_accuracy() const;
  double mean_mse() const;
  /// Expected calibration error (Guo et al., 2017): the mean over images of |confidence - accuracy|
  /// of their bin.
  double calibration_error() const;
};

/// Computes the statistics on `images`, [N, C, H, W]: uint8 pixels, or float32 values in the
/// model's scale. Labels are int64 [N] or undefined. `on_progress` is called with the number of
/// evaluations done, of N * options.repeats.
LevelStatistics level_statistics(const Model& model, const LevelOptions& options,
                                 const at::Tensor& images, const at::Tensor& labels,
                                 const std::function<void(std::int64_t)>& on_progress = {});

/// Denoising errors at one level: means over images and pixels.
struct DenoisingError {
  std::int64_t level;
  double sigma;
  double mse_noise;  // squared error of the predicted eps
  double mse_image;  // squared error of the predicted x_0: (sigma / signal)^2 times mse_noise
};

/// The errors at `levels`, each in 1..R-1 for the reference level R, on images [N, C, H, W] in the
/// model's scale. Image i gets the same noise, derived from options.seed, at every level and for
/// every model. `on_progress` is called with the number of evaluations done, of N times the number
/// of levels.
std::vector<DenoisingError> denoising_errors(
    const Model& model, const std::vector<std::int64_t>& levels, const LevelOptions& options,
    const at::Tensor& images, const at::Tensor& labels,
    const std::function<void(std::int64_t)>& on_progress = {});

/// Standard normal noise of images first .. first + B - 1, in the shape, type and on the device of
/// `like`, [B, C, H, W].
at::Tensor evaluation_noise(std::uint64_t seed, std::int64_t first, const at::Tensor& like);

/// The model's prediction of x_0, [B, C, H, W], from x_t [B, C, H, W] at level `t`.
at::Tensor denoise(const Model& model, const at::Tensor& x_t, std::int64_t t,
                   const at::Tensor& labels);

}  // namespace cdm
