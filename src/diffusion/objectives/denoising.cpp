// SPDX-License-Identifier: MIT
// The objective of plain denoisers (L_simple of Ho et al., 2020): mse_weight times the mean squared
// error per pixel of the noise that the network predicts. Levels are drawn from those that hold
// both image and noise: all but the first and the last.
#include <ATen/TensorOperators.h>
#include <ATen/ops/mse_loss.h>

#include "diffusion/objectives/objectives.h"

namespace cdm {
namespace {

class DenoisingObjective final : public Objective {
 public:
  explicit DenoisingObjective(const LossConfig& config) : weight_(config.mse_weight) {}

  double forward_passes() const override { return 3.0; }
  std::vector<std::string> terms() const override { return {"mse"}; }

  NamedTensors draw(const NoiseSchedule& schedule, const RowDraws& draws) const override {
    return {{"t", draws.integers(Purpose::level, 1, schedule.reference_level() - 1)},
            {"noise", draws.normal(Purpose::noise)}};
  }

  Loss loss(const Model& model, const TrainingRows& rows, DropoutMasks* masks) const override {
    const at::Tensor eps =
        model.network()(noisy_images(model, rows), rows["t"], rows.condition(), masks);
    const at::Tensor mse = at::mse_loss(eps, rows["noise"]);
    return {weight_ * mse, {{"mse", mse.detach()}}};
  }

 private:
  double weight_;
};

}  // namespace

std::unique_ptr<Objective> make_denoising_objective(const LossConfig& config) {
  return std::make_unique<DenoisingObjective>(config);
}

}  // namespace cdm
