// SPDX-License-Identifier: MIT
// The objective of classification diffusion models (Yadin et al., 2024):
//
//   ce_weight CE(t, f(x_t)) + mse_weight MSE(eps, eps_theta(x_t, t))
//
// CE is the cross entropy of the noise level over all K levels, in nats. eps_theta is the denoiser
// that Theorem 3.1 computes from the network's input gradient, so the gradient of the MSE needs
// double backpropagation. The MSE is the mean over pixels; with mse_weight = 0 it is not computed.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/mse_loss.h>
#include <torch/csrc/autograd/autograd.h>

#include "diffusion/objectives/objectives.h"

namespace cdm {
namespace {

class CdmObjective final : public Objective {
 public:
  explicit CdmObjective(const LossConfig& config) : config_(config) {}

  double forward_passes() const override { return denoises() ? 6.0 : 3.0; }
  std::vector<std::string> terms() const override {
    return denoises() ? std::vector<std::string>{"ce", "mse", "accuracy"}
                      : std::vector<std::string>{"ce", "accuracy"};
  }

  NamedTensors draw(const NoiseSchedule& schedule, const RowDraws& draws) const override {
    return {{"t", draws.integers(Purpose::level, 0, schedule.levels())},
            {"noise", draws.normal(Purpose::noise)}};
  }

  Loss loss(const Model& model, const TrainingRows& rows, DropoutMasks* masks) const override {
    const at::Tensor& t = rows["t"];
    const at::Tensor x_t = noisy_images(model, rows).requires_grad_(denoises());
    const at::Tensor f = model.network()(x_t, t, rows.condition(), masks);
    const at::Tensor ce = at::cross_entropy_loss(f, t);
    const at::Tensor accuracy = accuracy_of(f.detach().argmax(1).eq(t));
    if (!denoises()) {
      return {config_.ce_weight * ce, {{"ce", ce.detach()}, {"accuracy", accuracy}}};
    }
    const at::Tensor F = log_ratio(f, t);
    const at::Tensor grad_F = torch::autograd::grad({F.sum()}, {x_t}, {}, /*retain_graph=*/true,
                                                    /*create_graph=*/true)[0];
    const at::Tensor eps = noise_from_gradient(model.schedule(), grad_F, x_t, t);
    const at::Tensor mse = at::mse_loss(eps, rows["noise"]);
    return {config_.ce_weight * ce + config_.mse_weight * mse,
            {{"ce", ce.detach()}, {"mse", mse.detach()}, {"accuracy", accuracy}}};
  }

 private:
  bool denoises() const { return config_.mse_weight > 0.0; }

  LossConfig config_;
};

}  // namespace

std::unique_ptr<Objective> make_cdm_objective(const LossConfig& config) {
  return std::make_unique<CdmObjective>(config);
}

}  // namespace cdm
