// SPDX-License-Identifier: MIT
#include "cdm/eval/nll.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_cholesky.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "cdm/core/for_each_batch.h"
#include "cdm/data/batches.h"
#include "cdm/device/random.h"

namespace cdm {
Scores score_images(const Model& model, const ScoreOptions& options, const at::Tensor& images,
                    const at::Tensor& labels, const std::function<void(std::int64_t)>& on_progress,
                    const ProcessGroup& group) {
  const c10::NoGradGuard no_grad;
  const Density& density = model.density();
  const at::TensorOptions network = model.network().options();
  const at::ScalarType type = c10::typeMetaToScalarType(network.dtype());
  const std::int64_t draws = options.dequantization == Dequantization::none ? 1 : options.draws;
  const std::int64_t total = images.size(0);
  // Images that other processes score remain 0, so that the sum over processes has all scores.
  Scores scores = {at::zeros({total}, at::kDouble), at::zeros({total}, at::kDouble)};
  const auto score = [&](std::int64_t first, std::int64_t count) {
    const at::Tensor pixels = images.narrow(0, first, count).to(network.device());
    const at::Tensor classes =
        labels.defined() ? labels.narrow(0, first, count).to(network.device()) : at::Tensor();
    const at::Tensor t = at::full({count}, options.level, network.dtype(at::kLong));
    at::Tensor sum = scores.log_prob.narrow(0, first, count);
    at::Tensor log_sum = scores.importance_weighted.narrow(0, first, count);
    log_sum.fill_(-std::numeric_limits<double>::infinity());
    for (std::int64_t draw = 0; draw < draws; ++draw) {
      const RandomStream stream = {options.seed, Purpose::dequantize,
                                   static_cast<std::uint64_t>(draw)};
      const at::Tensor x = to_model_scale(pixels, type, options.dequantization, stream, first);
      const at::Tensor log_prob = density.log_prob(x, t, classes).to(at::kCPU);
      sum.add_(log_prob);
      log_sum.copy_(at::logaddexp(log_sum, log_prob));
    }
    if (on_progress) on_progress(first + count);
  };
  for_each_batch(total, options.batch_size, score, group.rank(), group.size());
  group.sum(scores.log_prob);
  group.sum(scores.importance_weighted);
  scores.log_prob.div_(static_cast<double>(draws));
  scores.importance_weighted.sub_(std::log(static_cast<double>(draws)));
  return scores;
}

double bits_offset(Dequantization dequantization) {
  return std::log2(dequantization == Dequantization::none ? 127.5 : 128.0);
}

double bits_offset(const Dataset& dataset, Dequantization dequantization) {
  return dataset.has_pixels() ? bits_offset(dequantization) : 0.0;
}

at::Tensor bits_per_dim(const at::Tensor& log_prob_nats, std::int64_t dimensions, double offset) {
  return log_prob_nats / (-static_cast<double>(dimensions) * std::numbers::ln2) + offset;
}

MeanEstimate estimate_mean(const at::Tensor& values) {
  const at::Tensor v = values.to(at::kDouble);
  const auto count = static_cast<double>(v.size(0));
  const double mean = v.mean().item<double>();
  const double variance = (v - mean).square().sum().item<double>() / (count - 1);  // 0 / 0 for one
  return interval_95(mean, std::sqrt(variance / count));
}

MeanEstimate interval_95(double mean, double standard_error) {
  constexpr double kNormal95 = 1.959963984540054;
  return {mean, standard_error, mean - kNormal95 * standard_error,
          mean + kNormal95 * standard_error};
}

at::Tensor gaussian_bits_per_dim(const at::Tensor& train_images, const at::Tensor& test_images,
                                 Dequantization dequantization) {
  const bool raw = dequantization == Dequantization::none;
  const auto rows = [&](const at::Tensor& images) {
    const at::Tensor pixels = images.flatten(1).to(at::kDouble);
    return raw ? pixels.div(127.5).sub_(1.0) : pixels.add(0.5).div_(128.0).sub_(1.0);
  };
  const double step = 1.0 / (raw ? 127.5 : 128.0);
  at::Tensor train = rows(train_images);
  const std::int64_t dimensions = train.size(1);
  const at::Tensor mean = train.mean(0);
  train.sub_(mean);
  const at::Tensor covariance =
      train.t().mm(train) / static_cast<double>(std::max<std::int64_t>(train.size(0) - 1, 1)) +
      at::eye(dimensions, at::kDouble) * (step * step / 12.0);
  const at::Tensor factor = at::linalg_cholesky(covariance);
  const at::Tensor white = at::linalg_solve_triangular(factor, (rows(test_images) - mean).t(),
                                                       /*upper=*/false);  // [d, N]
  at::Tensor log_prob = white.square().sum(0).mul(-0.5) - factor.diagonal().log().sum() -
                        0.5 * static_cast<double>(dimensions) * std::log(2.0 * std::numbers::pi);
  if (!raw) {
    // Noise z of variance step^2 / 12 adds E z' S^-1 z = tr(S^-1) step^2 / 12 to the squared
    // Mahalanobis distance.
    const at::Tensor inverse =
        at::linalg_solve_triangular(factor, at::eye(dimensions, at::kDouble), /*upper=*/false);
    log_prob.sub_(inverse.square().sum() * (step * step / 24.0));
  }
  return bits_per_dim(log_prob, dimensions, bits_offset(dequantization));
}

}  // namespace cdm
