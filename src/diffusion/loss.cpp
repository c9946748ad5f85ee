// SPDX-License-Identifier: MIT
#include "cdm/diffusion/loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

at::Tensor share_of(const at::Tensor& decisions) { return decisions.to(at::kFloat).mean(); }

LossTerms cdm_loss(const Classifier& classifier, const LossConfig& config, const at::Tensor& x_t,
                   const at::Tensor& t, const at::Tensor& noise, const at::Tensor& labels,
                   DropoutMasks* masks) {
  const bool denoises = config.mse_weight > 0.0;
  x_t.requires_grad_(denoises);
  const at::Tensor logits = classifier.logits(x_t, labels, masks);

  LossTerms terms;
  const at::Tensor ce = at::cross_entropy_loss(logits, t);
  terms.total = config.ce_weight * ce;
  terms.ce = ce.detach();
  terms.mse = at::zeros({}, ce.options());
  if (denoises) {
    const at::Tensor F = classifier.log_ratio(logits, t);
    const at::Tensor grad_F = torch::autograd::grad({F.sum()}, {x_t}, {}, /*retain_graph=*/true,
                                                    /*create_graph=*/true)[0];
    const at::Tensor mse = at::mse_loss(classifier.noise_from_gradient(grad_F, x_t, t), noise);
    terms.total = terms.total + config.mse_weight * mse;
    terms.mse = mse.detach();
  }
  terms.accuracy = share_of(logits.detach().argmax(1).eq(t));
  return terms;
}

/// Data or noise?
LossTerms nce_loss(const at::Tensor& logits, const LossConfig& config, const at::Tensor& t) {
  const at::Tensor ends = at::stack({logits.select(1, 0), logits.select(1, -1)}, 1);
  const at::Tensor is_noise = t.ne(0).to(at::kLong);
  const at::Tensor ce = at::cross_entropy_loss(ends, is_noise);
  return {config.ce_weight * ce, ce.detach(), at::zeros({}, ce.options()),
          share_of(ends.detach().argmax(1).eq(is_noise))};
}

/// This level, or its neighbour? An image of level t takes part in two decisions, t-1 against t and
/// t against t+1; in one at either end.
LossTerms tre_loss(const at::Tensor& logits, const LossConfig& config, const at::Tensor& t) {
  const std::int64_t bridges = logits.size(1) - 1;
  // log p_k / p_{k+1} of every bridge k.
  const at::Tensor ratios = logits.narrow(1, 0, bridges) - logits.narrow(1, 1, bridges);
  const auto ratio_of = [&](const at::Tensor& k) {
    return ratios.gather(1, k.clamp(0, bridges - 1).unsqueeze(1)).squeeze(1);
  };
  const at::Tensor has_upper = t.lt(bridges).to(logits.scalar_type());
  const at::Tensor has_lower = t.gt(0).to(logits.scalar_type());
  const at::Tensor upper = ratio_of(t);         // should be large: x is of the lower of its levels
  const at::Tensor lower = ratio_of(t.sub(1));  // should be small
  // Levels are drawn with equal probability 1 / (bridges + 1), and each bridge needs two of them.
  const double scale = static_cast<double>(bridges + 1) / static_cast<double>(2 * bridges);
  const at::Tensor loss =
      (at::softplus(-upper) * has_upper + at::softplus(lower) * has_lower).mean() * scale;
  const at::Tensor right = (upper.detach().gt(0) * has_upper + lower.detach().lt(0) * has_lower);
  return {config.ce_weight * loss, loss.detach(), at::zeros({}, loss.options()),
          (right.mean() * scale).to(at::kFloat)};
}

LossTerms noise_loss(const NoisePredictor& model, const LossConfig& config, const at::Tensor& x_t,
                     const at::Tensor& t, const at::Tensor& noise, const at::Tensor& labels,
                     DropoutMasks* masks) {
  const at::Tensor mse = at::mse_loss(model.noise_with_graph(x_t, t, labels, masks), noise);
  const at::Tensor none = at::zeros({}, mse.options());
  return {config.mse_weight * mse, none, mse.detach(), none.clone()};
}

}  // namespace

at::Tensor draw_levels(const NoiseSchedule& schedule, const ModelConfig& model,
                       const LossConfig& loss, const RandomStream& stream, std::int64_t batch) {
  const std::int64_t reference = schedule.reference_level();
  if (model.predicts == Prediction::noise) return integers(stream, batch, reference - 1) + 1;
  if (loss.kind == ObjectiveKind::nce) return integers(stream, batch, 2) * reference;
  return integers(stream, batch, schedule.levels());
}

LossTerms training_loss(const Denoiser& model, const LossConfig& config, const at::Tensor& x0,
                        const at::Tensor& t, const at::Tensor& noise, const at::Tensor& labels,
                        DropoutMasks* masks) {
  const at::Tensor x_t = model.schedule().add_noise(x0, t, noise).detach();
  const Classifier* const classifier = model.as_classifier();
  if (classifier == nullptr) {
    return noise_loss(dynamic_cast<const NoisePredictor&>(model), config, x_t, t, noise, labels,
                      masks);
  }
  switch (config.kind) {
    case ObjectiveKind::cdm:
      return cdm_loss(*classifier, config, x_t, t, noise, labels, masks);
    case ObjectiveKind::nce:
      return nce_loss(classifier->logits(x_t, labels, masks), config, t);
    case ObjectiveKind::tre:
      return tre_loss(classifier->logits(x_t, labels, masks), config, t);
    case ObjectiveKind::denoising:
      break;
  }
  throw UserError(concat("loss.kind = ", name_of(config.kind), ": must be cdm, nce or tre"));
}

}  // namespace cdm
