// SPDX-License-Identifier: MIT
#include "cdm/diffusion/model.h"

#include <c10/util/Exception.h>

#include <utility>

#include "cdm/core/error.h"
#include "diffusion/guidance.h"

namespace cdm {
namespace {

class PlainEvaluator final : public RowEvaluator {
 public:
  Tensors operator()(Question /*question*/, const RowFunction& function,
                     const Tensors& inputs) const override {
    return function(inputs);
  }
};

}  // namespace

Model::Model(std::shared_ptr<Network> network, NoiseSchedule schedule,
             std::shared_ptr<const RowEvaluator> evaluate)
    : network_(std::move(network)),
      schedule_(std::move(schedule)),
      evaluate_(evaluate ? std::move(evaluate) : std::make_shared<PlainEvaluator>()) {
  schedule_.to(network_->options());
  if (network_->predicts() == Prediction::logits) {
    density_.emplace(network_, schedule_, evaluate_);
  }
}

Model Model::with_evaluator(std::shared_ptr<const RowEvaluator> evaluate) const {
  return {network_, schedule_, std::move(evaluate)};
}

at::Tensor Model::predict_noise(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                                double guidance) const {
  switch (network_->predicts()) {
    case Prediction::logits:
      return density_->noise(x, t, labels, guidance);
    case Prediction::noise:
      return with_guidance(*network_, *evaluate_, Question::noise, prediction_of(network_), x, t,
                           labels, guidance)[0];
  }
  TORCH_CHECK(false, "a network predicts logits or noise");
}

const Density& Model::density() const {
  if (density_) return *density_;
  throw UserError("model.predicts = noise: the model is a plain denoiser, which has no density");
}

}  // namespace cdm
