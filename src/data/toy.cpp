// SPDX-License-Identifier: MIT
#include "cdm/data/toy.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_cholesky.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "cdm/device/random.h"
#include "data/sources.h"

namespace cdm {
namespace {

constexpr std::uint64_t kSeed = 0x746f79;  // the data are the same whatever the run's seed
constexpr double kPeak = 0.5;

RandomStream stream_of(Purpose purpose, Split split) {
  return {kSeed, purpose, split == Split::train ? 0u : 1u};
}

/// log N(x; 0, w^2 I) of rows [N, d].
at::Tensor normal_log_prob(const at::Tensor& rows, double w) {
  const auto d = static_cast<double>(rows.size(1));
  return rows.square().sum(1).mul(-0.5 / (w * w)) -
         d * (std::log(w) + 0.5 * std::log(2.0 * std::numbers::pi));
}

/// Images to take the moments of.
Dataset source_images(const DataConfig& config) {
  if (config.path.empty()) {
    throw UserError("data.path is empty: data.toy = gaussian takes the covariance of images there");
  }
  Dataset source = load_dataset(detect_dataset(config.path), Split::train);
  const bool to_grey = source.channels() == 3 && config.channels == 1;
  if ((!to_grey && source.channels() != config.channels) ||
      source.image_size() < config.image_size) {
    throw UserError(concat("data.path = ", config.path, ": its images are ", source.channels(),
                           " x ", source.image_size(), " x ", source.image_size(), ", too few for ",
                           config.channels, " x ", config.image_size, " x ", config.image_size,
                           " as data.channels and data.image_size say"));
  }
  return source;
}

/// Calls visit(rows) for batches of the images, reduced to the configured size: float64 [n, d]. All
/// at once may be too many.
template <class Visit>
void for_each_batch(const DataConfig& config, const Dataset& source, const Visit& visit) {
  constexpr std::int64_t kAtOnce = 1000;
  const bool to_grey = source.channels() != config.channels;
  for (std::int64_t first = 0; first < source.size(); first += kAtOnce) {
    const std::int64_t count = std::min(kAtOnce, source.size() - first);
    at::Tensor images = to_unit_range(source.images.narrow(0, first, count), at::kDouble);
    if (to_grey) images = images.mean(1, /*keepdim=*/true);
    visit(at::adaptive_avg_pool2d(images, {config.image_size, config.image_size}).flatten(1));
  }
}

}  // namespace

ToyDistribution::ToyDistribution(const DataConfig& config) : config_(config) {
  for (const auto& [key, value] : {std::pair("data.image_size", config.image_size),
                                   std::pair("data.channels", config.channels)}) {
    if (value == 0) throw UserError(concat(key, " = 0: data.kind = toy needs it"));
  }
  if (config.toy != ToyKind::gaussian) return;
  const Dataset source = source_images(config);
  const auto n = static_cast<double>(source.size());
  const std::int64_t d = config.channels * config.image_size * config.image_size;
  mean_ = at::zeros({d}, at::kDouble);
  for_each_batch(config, source, [&](const at::Tensor& rows) { mean_.add_(rows.sum(0)); });
  mean_.div_(n);
  at::Tensor scatter = at::zeros({d, d}, at::kDouble);
  for_each_batch(config, source, [&](const at::Tensor& rows) {
    const at::Tensor centred = rows - mean_;
    scatter.addmm_(centred.t(), centred);
  });
  constexpr double kStep = 2.0 / 255.0;
  const at::Tensor covariance =
      scatter / std::max(n - 1.0, 1.0) + at::eye(d, at::kDouble) * (kStep * kStep / 12.0);
  factor_ = at::linalg_cholesky(covariance);
}

at::Tensor ToyDistribution::sample(std::int64_t count, Split split) const {
  const DataConfig& c = config_;
  const at::TensorOptions real = at::TensorOptions().dtype(at::kFloat);
  const std::vector<std::int64_t> shape = {count, c.channels, c.image_size, c.image_size};
  const RandomStream stream = stream_of(Purpose::noise, split);
  switch (c.toy) {
    case ToyKind::uniform:
      return uniform(stream, shape, real).sub_(0.5).mul_(c.toy_width);
    case ToyKind::peaks: {
      const at::Tensor upper =
          uniform(stream_of(Purpose::level, split), {count, 1, 1, 1}, real).lt(0.5);
      const at::Tensor centre =
          at::where(upper, at::full({}, kPeak, real), at::full({}, -kPeak, real));
      return normal(stream, shape, real) * c.toy_width + centre;
    }
    case ToyKind::gaussian: {
      const at::Tensor z = normal(stream, shape, real).flatten(1).to(at::kDouble);
      return (z.mm(factor_.t()) + mean_).to(at::kFloat).view(shape);
    }
  }
  TORCH_CHECK(false, "no such toy distribution");
}

at::Tensor ToyDistribution::log_prob(const at::Tensor& x) const {
  const at::Tensor rows = x.flatten(1).to(at::kCPU, at::kDouble);
  const auto d = static_cast<double>(rows.size(1));
  const double width = config_.toy_width;
  switch (config_.toy) {
    case ToyKind::uniform: {
      // A float32 at the edge may lie a rounding beyond it.
      const at::Tensor outside = rows.abs().amax(1).le(0.5 * width * (1.0 + 1e-6)).logical_not();
      const at::Tensor inside = at::full({rows.size(0)}, -d * std::log(width), rows.options());
      return inside.masked_fill(outside, -std::numeric_limits<double>::infinity());
    }
    case ToyKind::peaks:
      return at::logaddexp(normal_log_prob(rows - kPeak, width),
                           normal_log_prob(rows + kPeak, width)) -
             std::log(2.0);
    case ToyKind::gaussian: {
      const at::Tensor white =
          at::linalg_solve_triangular(factor_, (rows - mean_).t(), /*upper=*/false);  // [d, N]
      return normal_log_prob(white.t(), 1.0) - factor_.diagonal().log().sum();
    }
  }
  TORCH_CHECK(false, "no such toy distribution");
}

Dataset read_toy(const DataConfig& config, Split split) {
  if (config.toy == ToyKind::gaussian && config.horizontal_flip) {
    throw UserError(
        "data.horizontal_flip = true: mirrored images are not of the density of data.toy = "
        "gaussian; set it to false");
  }
  const std::int64_t count =
      split == Split::train ? config.toy_images : std::max<std::int64_t>(1, config.toy_images / 5);
  Dataset dataset;
  dataset.images = ToyDistribution(config).sample(count, split);
  return dataset;
}

}  // namespace cdm
