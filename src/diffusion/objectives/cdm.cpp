// SPDX-License-Identifier: MIT
// The objective of classification diffusion models (Yadin et al., 2024):
//
//   ce_weight CE(t, f(x_t)) + mse_weight MSE(eps, eps_theta(x_t, t))
//
// CE is the cross entropy of the noise level over all K levels, in nats. logits_objective.h has the
// denoising error.
#include "diffusion/objectives/logits_objective.h"
#include "diffusion/objectives/objectives.h"

namespace cdm {
namespace {

class CdmObjective final : public LogitsObjective {
 public:
  using LogitsObjective::LogitsObjective;

 protected:
  LogitsLoss loss_of_logits(const at::Tensor& f, const TrainingRows& rows) const override {
    return cross_entropy(f, rows["t"]);
  }
};

}  // namespace

std::unique_ptr<Objective> make_cdm_objective(const LossConfig& config,
                                              const NoiseSchedule& schedule) {
  return std::make_unique<CdmObjective>(config, schedule);
}

}  // namespace cdm
