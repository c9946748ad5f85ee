// SPDX-License-Identifier: MIT
#include "cdm/model/mlp.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>

#include <numbers>

#include "cdm/core/text.h"

namespace cdm {

Mlp::Mlp(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed)
    : Network(config.predicts, shape, config.num_classes), octaves_(config.fourier_features) {
  ParameterMaker make(parameters_, seed);
  const std::int64_t dimensions = shape.channels * shape.image_size * shape.image_size;
  std::int64_t in = dimensions * (1 + 2 * octaves_);
  for (std::int64_t i = 0; i < config.res_blocks; ++i) {
    hidden_.emplace_back(make, concat("hidden.", i), in, config.channels);
    in = config.channels;
  }
  switch (predicts()) {
    case Prediction::logits:
      head_ = LevelHead(make, in, shape.levels, has_anchor(config));
      break;
    case Prediction::noise:
      noise_ = Linear(make, "noise_layer", in, dimensions);
      time_ = Linear(make, "time_layer", config.channels, config.channels);
      break;
  }
  if (is_conditional()) {
    label_embedding_ = make.normal("label_emb.weight", {num_classes() + 1, config.channels});
  }
  if (shape.augmentations > 0) {
    augment_embedding_ = make.uniform("augment_emb.weight", {config.channels, shape.augmentations},
                                      shape.augmentations);
  }
}

at::Tensor Mlp::features(const at::Tensor& x) const {
  const at::Tensor pixels = x.flatten(1);
  if (octaves_ == 0) return pixels;
  // Computed on the device: copying them from the host would make the host wait for the GPU.
  const at::Tensor frequencies =
      at::arange(octaves_, pixels.options()).exp2().mul(std::numbers::pi);
  const at::Tensor angles = (pixels.unsqueeze(2) * frequencies).flatten(1);
  return at::cat({pixels, angles.sin(), angles.cos()}, 1);
}

at::Tensor Mlp::forward(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                        DropoutMasks* /*masks*/) const {
  at::Tensor h = features(x);
  for (std::size_t i = 0; i < hidden_.size(); ++i) {
    h = hidden_[i](h);
    if (i == 0 && predicts() == Prediction::noise) {
      h = h + time_(time_embedding(t, time_.weight.size(1), h.options()));
    }
    if (i == 0 && is_conditional()) h = h + at::embedding(label_embedding_, given.labels);
    if (i == 0 && augment_embedding_.defined()) {
      h = h + at::linear(given.told, augment_embedding_);
    }
    h = at::silu(h);
  }
  switch (predicts()) {
    case Prediction::logits:
      return head_(h);
    case Prediction::noise:
      return noise_(h).view(x.sizes());
  }
  return {};
}

}  // namespace cdm
