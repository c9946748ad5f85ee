// SPDX-License-Identifier: MIT
// Noise-contrastive estimation (Gutmann and Hyvarinen, 2010): ce_weight times the cross entropy, in
// nats, of two classes, data (level 0) and pure noise (the reference level), computed from the
// logits of these two levels. It equals the CDM objective with T = 0 and mse_weight = 0.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/stack.h>

#include "diffusion/objectives/level_draws.h"
#include "diffusion/objectives/objectives.h"

namespace cdm {
namespace {

class NceObjective final : public Objective {
 public:
  NceObjective(const LossConfig& config, const NoiseSchedule& schedule)
      : weight_(config.ce_weight),
        is_noise_(config.level_sampling, LevelDensity::uniform, schedule, 0, 2) {}

  double forward_passes() const override { return 3.0; }
  std::vector<std::string> terms() const override { return {"ce", "accuracy"}; }

  NamedTensors draw(const NoiseSchedule& schedule, const RowDraws& draws) const override {
    return {{"t", is_noise_(draws) * schedule.reference_level()},
            {"noise", draws.normal(Purpose::noise)}};
  }

  Loss loss(const Model& model, const TrainingRows& rows, DropoutMasks* masks) const override {
    const at::Tensor& t = rows["t"];
    const at::Tensor f = model.network()(noisy_images(model, rows), t, rows.condition(), masks);
    const at::Tensor ends = at::stack({f.select(1, 0), f.select(1, -1)}, 1);
    const at::Tensor is_noise = t.ne(0).to(at::kLong);
    const at::Tensor ce = at::cross_entropy_loss(ends, is_noise);
    return {weight_ * ce,
            {{"ce", ce.detach()}, {"accuracy", accuracy_of(ends.detach().argmax(1).eq(is_noise))}}};
  }

 private:
  double weight_;
  LevelDraws is_noise_;
};

}  // namespace

std::unique_ptr<Objective> make_nce_objective(const LossConfig& config,
                                              const NoiseSchedule& schedule) {
  return std::make_unique<NceObjective>(config, schedule);
}

}  // namespace cdm
