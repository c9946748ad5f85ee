// SPDX-License-Identifier: MIT
#include "cdm/model/ddm_unet.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/embedding.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace cdm {

at::Tensor time_embedding(const at::Tensor& t, std::int64_t width, const at::TensorOptions& like) {
  const std::int64_t half = width / 2;
  const double decay = std::log(10000.0) / static_cast<double>(std::max<std::int64_t>(half - 1, 1));
  const at::Tensor frequencies = (at::arange(half, like) * -decay).exp();
  const at::Tensor angles = t.to(like.dtype()).unsqueeze(1) * frequencies.unsqueeze(0);
  const at::Tensor values = at::cat({angles.sin(), angles.cos()}, 1);
  return width % 2 == 0 ? values : at::constant_pad_nd(values, {0, 1});
}

DdmUNet::DdmUNet(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed)
    : NoiseNetwork(shape, config.num_classes) {
  ParameterMaker make(parameters_, seed);
  const std::int64_t width = 4 * config.channels;
  embedding_ = Embedding(make, config.channels, width);
  body_ = UNetBody(make, config, shape, width);
  conv_out_ = Conv2d(make, "conv_out", body_.feature_channels(), shape.channels, 3, 1, 1);
  if (is_conditional()) {
    label_embedding_ = make.normal("label_emb.weight", {num_classes() + 1, config.channels});
  }
}

at::Tensor DdmUNet::noise(const at::Tensor& images, const at::Tensor& t, const at::Tensor& labels,
                          DropoutMasks* masks) const {
  const at::Tensor& weight = embedding_.dense0.weight;
  at::Tensor values = time_embedding(t, weight.size(1), weight.options().requires_grad(false));
  if (is_conditional()) {
    TORCH_CHECK(labels.defined(), "a class-conditional network needs labels");
    values = values + at::embedding(label_embedding_, labels);
  }
  const at::Tensor h = body_(images, embedding_(values), masks, body_type());
  return conv_out_(h.to(conv_out_.weight.scalar_type()));
}

}  // namespace cdm
