// SPDX-License-Identifier: MIT
#include "cdm/train/anchor_statistics.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <functional>

#include "cdm/core/for_each_batch.h"
#include "cdm/core/text.h"
#include "cdm/model/anchor.h"

namespace cdm {
namespace {

/// Where in the model's scale 8-bit images lie, and how far each value spreads there.
struct Scale {
  double factor = 1.0, offset = 0.0;  // the mean of a pixel u is u * factor + offset
  double variance = 1e-8;             // added to the variance of every pixel
};

Scale scale_of(const RunConfig& config, const Dataset& train) {
  if (!train.has_pixels()) return {};
  switch (config.data.dequantize) {
    case Dequantization::none: {
      constexpr double kStep = 1.0 / 127.5;
      return {kStep, -1.0, kStep * kStep / 12.0};
    }
    case Dequantization::uniform: {
      constexpr double kStep = 1.0 / 128.0;
      return {kStep, 0.5 * kStep - 1.0, kStep * kStep / 12.0};
    }
  }
  TORCH_CHECK(false, "data.dequantize is none of the kinds");
}

/// Mean over the images of what `term` computes of a batch in the model's scale, float64
/// [n, C, H, W], summed over its rows.
at::Tensor mean_of(const RunConfig& config, const Dataset& train, const Scale& scale,
                   const std::function<at::Tensor(const at::Tensor& images)>& term) {
  constexpr std::int64_t kAtOnce = 1000;
  at::Tensor sum;
  const auto add = [&](const at::Tensor& images) {
    const at::Tensor part = term(images);
    sum = sum.defined() ? sum.add_(part) : part;
  };
  for_each_batch(train.size(), kAtOnce, [&](std::int64_t first, std::int64_t count) {
    const at::Tensor images =
        train.images.narrow(0, first, count).to(at::kDouble) * scale.factor + scale.offset;
    add(images);
    if (config.data.horizontal_flip) add(images.flip({3}));
  });
  return sum / static_cast<double>(train.size() * (config.data.horizontal_flip ? 2 : 1));
}

}  // namespace

NamedTensors anchor_statistics(const RunConfig& config, const Dataset& train) {
  if (!has_anchor(config.model)) return {};
  const c10::NoGradGuard no_grad;
  const Scale scale = scale_of(config, train);
  const auto mean_over_images = [&](const auto& term) {
    return mean_of(config, train, scale, term);
  };
  const at::Tensor mean =
      mean_over_images([](const at::Tensor& images) { return images.flatten(1).sum(0); });
  const std::int64_t C = train.channels(), size = train.image_size(), d = mean.numel();
  const at::Tensor center = mean.view({1, C, size, size});
  NamedTensors statistics = {{concat(Anchor::kPrefix, "mean"), mean}};
  const auto add = [&](const char* name, const at::Tensor& value) {
    statistics.emplace_back(concat(Anchor::kPrefix, name), value.contiguous());
  };
  if (d <= Anchor::kMostDimensions) {
    const at::Tensor covariance = mean_over_images([&](const at::Tensor& images) {
      const at::Tensor rows = (images - center).flatten(1);
      return at::matmul(rows.t(), rows);
    });
    const auto [variances, basis] = at::linalg_eigh(covariance);
    add("variances", variances.clamp_min(0.0) + scale.variance);
    add("basis", basis);
    return statistics;
  }
  const auto rows_of_channels = [&](const at::Tensor& images) {  // [pixels of all images, C]
    return (images - center).permute({0, 2, 3, 1}).flatten(0, 2);
  };
  const at::Tensor channels =
      std::get<1>(at::linalg_eigh(mean_over_images([&](const at::Tensor& x) {
        const at::Tensor rows = rows_of_channels(x);
        return at::matmul(rows.t(), rows);
      })));
  const at::Tensor cosines = cosine_transform(size);
  const at::Tensor variances = mean_over_images([&](const at::Tensor& images) {
    const at::Tensor waves =
        at::matmul(at::matmul(cosines, images - center), cosines.t()).flatten(2);
    return at::matmul(channels.t(), waves).square().flatten(1).sum(0);
  });
  add("variances", variances + scale.variance);
  add("channels", channels);
  return statistics;
}

}  // namespace cdm
