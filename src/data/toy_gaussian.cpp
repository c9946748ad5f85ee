// SPDX-License-Identifier: MIT
#include <ATen/TensorOperators.h>
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_cholesky.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "cdm/core/error.h"
#include "cdm/core/for_each_batch.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "data/sources.h"
#include "data/toy_kinds.h"

namespace cdm {
namespace {

/// Images to take the moments of.
Dataset source_images(const DataConfig& config) {
  if (config.path.empty()) {
    throw UserError("data.path is empty: data.toy = gaussian takes the covariance of images there");
  }
  Dataset source = load_dataset(detect_dataset(existing_path(config, "data.path")), Split::train);
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
void for_each_reduced(const DataConfig& config, const Dataset& source, const Visit& visit) {
  constexpr std::int64_t kAtOnce = 1000;
  const bool to_grey = source.channels() != config.channels;
  for_each_batch(source.size(), kAtOnce, [&](std::int64_t first, std::int64_t count) {
    at::Tensor images = to_unit_range(source.images.narrow(0, first, count), at::kDouble);
    if (to_grey) images = images.mean(1, /*keepdim=*/true);
    visit(at::adaptive_avg_pool2d(images, {config.image_size, config.image_size}).flatten(1));
  });
}

class ToyGaussian : public ToyDensity {
 public:
  explicit ToyGaussian(const DataConfig& config) : config_(config) {
    if (config.horizontal_flip) {
      throw UserError(
          "data.horizontal_flip = true: mirrored images are not of the density of data.toy = "
          "gaussian; set it to false");
    }
    const Dataset source = source_images(config);
    const auto n = static_cast<double>(source.size());
    const std::int64_t d = config.channels * config.image_size * config.image_size;
    mean_ = at::zeros({d}, at::kDouble);
    for_each_reduced(config, source, [&](const at::Tensor& rows) { mean_.add_(rows.sum(0)); });
    mean_.div_(n);
    at::Tensor scatter = at::zeros({d, d}, at::kDouble);
    for_each_reduced(config, source, [&](const at::Tensor& rows) {
      const at::Tensor centred = rows - mean_;
      scatter.addmm_(centred.t(), centred);
    });
    constexpr double kStep = 2.0 / 255.0;
    const at::Tensor covariance =
        scatter / std::max(n - 1.0, 1.0) + at::eye(d, at::kDouble) * (kStep * kStep / 12.0);
    factor_ = at::linalg_cholesky(covariance);
  }

  at::Tensor sample(std::int64_t count, Split split) const override {
    const std::vector<std::int64_t> shape = toy_shape(config_, count);
    const at::Tensor z = normal(toy_stream(Purpose::noise, split), shape, at::kFloat);
    const at::Tensor rows = z.flatten(1).to(at::kDouble).mm(factor_.t()) + mean_;
    return rows.to(at::kFloat).view(shape);
  }

  at::Tensor log_prob(const at::Tensor& x) const override {
    const at::Tensor rows = x.flatten(1).to(at::kCPU, at::kDouble);
    const at::Tensor white =
        at::linalg_solve_triangular(factor_, (rows - mean_).t(), /*upper=*/false);  // [d, N]
    return normal_log_prob(white.t(), 1.0) - factor_.diagonal().log().sum();
  }

 private:
  DataConfig config_;
  // float64: [d], and [d, d], whose product with its transpose is the covariance.
  at::Tensor mean_, factor_;
};

}  // namespace

std::unique_ptr<ToyDensity> make_toy_gaussian(const DataConfig& config) {
  return std::make_unique<ToyGaussian>(config);
}

}  // namespace cdm
