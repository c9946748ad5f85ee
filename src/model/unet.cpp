// SPDX-License-Identifier: MIT
#include "cdm/model/unet.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>

#include "cdm/ops/ops.h"

namespace cdm {

UNet::UNet(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed)
    : Network(config.predicts, shape, config.num_classes) {
  // Parameters are registered in the same order as in the authors' code, because Adam's state in a
  // .pth file identifies parameters by their position only.
  ParameterMaker make(parameters_, seed);
  const bool has_embedding =
      is_conditional() || predicts() == Prediction::noise || shape.augmentations > 0;
  const std::int64_t width = has_embedding ? 4 * config.channels : 0;
  if (has_embedding) embedding_ = Embedding(make, config.channels, width);
  body_ = UNetBody(make, config, shape, width);
  const std::int64_t in = body_.feature_channels();
  switch (predicts()) {
    case Prediction::logits: {
      const std::int64_t features = config.head_channels > 0 ? config.head_channels : 2 * in;
      conv_out_ = Conv2d(make, "conv_out", in, features, 3, 1, 1);
      std::int64_t pooled = features;
      if (config.head == HeadKind::pooled_inner) {
        conv_inner_ =
            Conv2d(make, "conv_inner", in, config.inner_features * shape.channels, 3, 1, 1);
        pooled += config.inner_features;
      }
      head_ = LevelHead(make, pooled, shape.levels, has_anchor(config));
      break;
    }
    case Prediction::noise:
      conv_out_ = Conv2d(make, "conv_out", in, shape.channels, 3, 1, 1);
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

at::Tensor UNet::embed(const at::Tensor& t, const Condition& given) const {
  at::Tensor values;
  if (predicts() == Prediction::noise) {
    const at::Tensor& weight = embedding_.dense0.weight;
    values = time_embedding(t, weight.size(1), weight.options().requires_grad(false));
  }
  if (is_conditional()) {
    const at::Tensor classes = at::embedding(label_embedding_, given.labels);
    values = values.defined() ? values + classes : classes;
  }
  if (augment_embedding_.defined()) {
    const at::Tensor told = at::linear(given.told, augment_embedding_);
    values = values.defined() ? values + told : told;
  }
  return values.defined() ? embedding_(values) : values;
}

at::Tensor UNet::forward(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                         DropoutMasks* masks) const {
  const at::Tensor h = body_(x, embed(t, given), masks, body_type());
  switch (predicts()) {
    case Prediction::logits: {
      const at::Tensor pooled = ops::mean_of_conv2d(h, conv_out_.weight, conv_out_.bias);
      if (!conv_inner_.weight.defined()) return head_(pooled);
      const at::Tensor inner =
          ops::inner_product_of_conv2d(h, x, conv_inner_.weight, conv_inner_.bias);
      return head_(at::cat({pooled, inner}, 1));
    }
    case Prediction::noise:
      return conv_out_(h.to(conv_out_.weight.scalar_type()));
  }
  return {};
}

}  // namespace cdm
