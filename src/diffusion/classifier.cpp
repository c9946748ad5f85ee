// SPDX-License-Identifier: MIT
#include "cdm/diffusion/classifier.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <numbers>
#include <utility>

#include "device/over_pieces.h"

namespace cdm {

at::Tensor standard_normal_log_density(const at::Tensor& x) {
  const at::Tensor rows = x.flatten(1);
  const double log_normaliser =
      0.5 * static_cast<double>(rows.size(1)) * std::log(2.0 * std::numbers::pi);
  return rows.square().sum(1).mul(-0.5).sub(log_normaliser);
}

Classifier::Classifier(std::shared_ptr<ClassifierNetwork> network, NoiseSchedule schedule)
    : Denoiser(std::move(schedule)), network_(std::move(network)) {
  schedule_.to(network_->parameters().front().second.options());
}

at::Tensor Classifier::logits(const at::Tensor& x, const at::Tensor& labels,
                              DropoutMasks* masks) const {
  return network_->logits(x, labels_or_null(x, labels), masks);
}

at::Tensor Classifier::log_ratio(const at::Tensor& logits, const at::Tensor& t) const {
  return logits.select(1, schedule_.reference_level()) -
         logits.gather(1, t.unsqueeze(1)).squeeze(1);
}

at::Tensor Classifier::log_ratio_gradient(const at::Tensor& x, const at::Tensor& t,
                                          const at::Tensor& labels) const {
  return over_pieces(x, labels,
                     [&](const Piece& piece, const at::Tensor& rows, const at::Tensor& classes) {
                       const at::AutoGradMode enable_grad(true);
                       const at::Tensor input = rows.detach().requires_grad_(true);
                       const at::Tensor F =
                           log_ratio(logits(input, classes), t.narrow(0, piece.first, piece.count));
                       return torch::autograd::grad({F.sum()}, {input})[0];
                     });
}

at::Tensor Classifier::evaluate(const at::Tensor& x, const at::Tensor& labels) const {
  return over_pieces(x, labels,
                     [&](const Piece&, const at::Tensor& rows, const at::Tensor& classes) {
                       const c10::NoGradGuard no_grad;
                       return logits(rows, classes);
                     });
}

at::Tensor Classifier::noise_from_gradient(const at::Tensor& grad_F, const at::Tensor& x,
                                           const at::Tensor& t) const {
  return schedule_.sigma(t, x) * (grad_F + x);
}

at::Tensor Classifier::noise(const at::Tensor& x, const at::Tensor& t,
                             const at::Tensor& labels) const {
  return noise_from_gradient(log_ratio_gradient(x, t, labels), x, t).detach();
}

at::Tensor Classifier::score(const at::Tensor& x, const at::Tensor& t,
                             const at::Tensor& labels) const {
  return (-(log_ratio_gradient(x, t, labels) + x)).detach();
}

at::Tensor Classifier::log_prob(const at::Tensor& x, const at::Tensor& t,
                                const at::Tensor& labels) const {
  return standard_normal_log_density(x) - log_ratio(evaluate(x, labels), t);
}

at::Tensor Classifier::log_prob_all_levels(const at::Tensor& x, const at::Tensor& labels) const {
  const at::Tensor f = evaluate(x, labels);
  return standard_normal_log_density(x).unsqueeze(1) + f -
         f.narrow(1, schedule_.reference_level(), 1);
}

at::Tensor Classifier::log_posterior(const at::Tensor& x, const at::Tensor& labels) const {
  return at::log_softmax(evaluate(x, labels).to(at::kDouble), 1);
}

at::Tensor Classifier::level_posterior(const at::Tensor& x, const at::Tensor& labels) const {
  return log_posterior(x, labels).exp();
}

}  // namespace cdm
