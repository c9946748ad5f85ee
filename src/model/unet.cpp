// SPDX-License-Identifier: MIT
#include "cdm/model/unet.h"

#include <ATen/ops/embedding.h>
#include <c10/util/Exception.h>

namespace cdm {

UNet::UNet(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed)
    : ClassifierNetwork(shape, config.num_classes) {
  // Registration follows the authors' modules, so that Adam's state, which knows parameters by
  // their number only, travels both ways.
  ParameterMaker make(parameters_, seed);
  const std::int64_t width = is_conditional() ? 4 * config.channels : 0;
  if (is_conditional()) embedding_ = Embedding(make, config.channels, width);
  body_ = UNetBody(make, config, shape, width);
  const std::int64_t features =
      config.head_channels > 0 ? config.head_channels : 2 * body_.feature_channels();
  conv_out_ = Conv2d(make, "conv_out", body_.feature_channels(), features, 3, 1, 1);
  linear_ = Linear(make, "linear_layer", features, shape.levels);
  if (is_conditional()) {
    label_embedding_ = make.normal("label_emb.weight", {num_classes() + 1, config.channels});
  }
}

at::Tensor UNet::head(const at::Tensor& images, const at::Tensor& labels,
                      DropoutMasks* masks) const {
  at::Tensor embedding;
  if (is_conditional()) {
    TORCH_CHECK(labels.defined(), "a class-conditional network needs labels");
    embedding = embedding_(at::embedding(label_embedding_, labels));
  }
  const at::Tensor h = conv_out_(body_(images, embedding, masks, body_type()));
  return linear_(h.to(linear_.weight.scalar_type()).mean({2, 3}));
}

}  // namespace cdm
