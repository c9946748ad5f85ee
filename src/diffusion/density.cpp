// SPDX-License-Identifier: MIT
#include "cdm/diffusion/density.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <numbers>
#include <utility>

#include "diffusion/guidance.h"

namespace cdm {

at::Tensor standard_normal_log_density(const at::Tensor& x) {
  const at::Tensor rows = x.flatten(1).to(at::kDouble);
  const double log_normaliser =
      0.5 * static_cast<double>(rows.size(1)) * std::log(2.0 * std::numbers::pi);
  return rows.square().sum(1).mul(-0.5).sub(log_normaliser);
}

at::Tensor log_ratio(const at::Tensor& logits, const at::Tensor& t) {
  return logits.select(1, -1) - logits.gather(1, t.unsqueeze(1)).squeeze(1);
}

at::Tensor noise_from_gradient(const NoiseSchedule& schedule, const at::Tensor& grad_F,
                               const at::Tensor& x, const at::Tensor& t) {
  return schedule.sigma(t, x) * (grad_F + x);
}

Density::Density(std::shared_ptr<const Network> network, NoiseSchedule schedule,
                 std::shared_ptr<const RowEvaluator> evaluate)
    : network_(std::move(network)),
      schedule_(std::move(schedule)),
      evaluate_(std::move(evaluate)) {}

at::Tensor Density::logits(const at::Tensor& x, const at::Tensor& labels, double guidance) const {
  return with_guidance(*network_, *evaluate_, Question::logits, prediction_of(network_), x, {},
                       labels, guidance)[0];
}

Tensors Density::log_ratio_and_gradient(const at::Tensor& x, const at::Tensor& t,
                                        const at::Tensor& labels, double guidance) const {
  const RowFunction function = [network = network_](const Tensors& in) -> Tensors {
    const at::AutoGradMode enable_grad(true);
    const at::Tensor x = in[0].detach().requires_grad_(true);
    const at::Tensor F = log_ratio((*network)(x, in[1], in[2]), in[1]);
    return {F.detach(), torch::autograd::grad({F.sum()}, {x})[0]};
  };
  return with_guidance(*network_, *evaluate_, Question::log_ratio_gradient, function, x, t, labels,
                       guidance);
}

at::Tensor Density::log_prob(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                             double guidance) const {
  return standard_normal_log_density(x.detach()) -
         log_ratio(logits(x, labels, guidance).to(at::kDouble), t);
}

LogProbAndScore Density::log_prob_and_score(const at::Tensor& x, const at::Tensor& t,
                                            const at::Tensor& labels, double guidance) const {
  const Tensors F_and_gradient = log_ratio_and_gradient(x, t, labels, guidance);
  const at::Tensor& F = F_and_gradient[0];
  const at::Tensor& grad_F = F_and_gradient[1];
  return {(standard_normal_log_density(x) - F.to(at::kDouble)).detach(), -(grad_F + x).detach()};
}

at::Tensor Density::log_prob_all_levels(const at::Tensor& x, const at::Tensor& labels,
                                        double guidance) const {
  const at::Tensor f = logits(x, labels, guidance).to(at::kDouble);
  return standard_normal_log_density(x.detach()).unsqueeze(1) + f - f.narrow(1, f.size(1) - 1, 1);
}

at::Tensor Density::log_posterior(const at::Tensor& x, const at::Tensor& labels) const {
  return at::log_softmax(logits(x, labels, 0.0).to(at::kDouble), 1);
}

at::Tensor Density::noise(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                          double guidance) const {
  const at::Tensor grad_F = log_ratio_and_gradient(x, t, labels, guidance)[1];
  return noise_from_gradient(schedule_, grad_F, x, t).detach();
}

}  // namespace cdm
