// SPDX-License-Identifier: MIT
#include "cdm/model/mlp.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/silu.h>
#include <c10/util/Exception.h>

#include "cdm/text.h"

namespace cdm {

Mlp::Mlp(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed)
    : ClassifierNetwork(shape, config.num_classes) {
  ParameterMaker make(parameters_, seed);
  std::int64_t in = shape.channels * shape.image_size * shape.image_size;
  for (std::int64_t i = 0; i < config.res_blocks; ++i) {
    hidden_.emplace_back(make, concat("hidden.", i), in, config.channels);
    in = config.channels;
  }
  output_ = Linear(make, "linear_layer", in, shape.levels);
  if (is_conditional()) {
    label_embedding_ = make.normal("label_emb.weight", {num_classes() + 1, config.channels});
  }
}

at::Tensor Mlp::head(const at::Tensor& images, const at::Tensor& labels,
                     DropoutMasks* /*masks*/) const {
  at::Tensor h = images.flatten(1);
  for (std::size_t i = 0; i < hidden_.size(); ++i) {
    h = hidden_[i](h);
    if (i == 0 && is_conditional()) {
      TORCH_CHECK(labels.defined(), "a class-conditional network needs labels");
      h = h + at::embedding(label_embedding_, labels);
    }
    h = at::silu(h);
  }
  return output_(h);
}

}  // namespace cdm
