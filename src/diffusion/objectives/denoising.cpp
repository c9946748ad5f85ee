// SPDX-License-Identifier: MIT
// The objective of plain denoisers (L_simple of Ho et al., 2020): mse_weight times the mean squared
// error per pixel of the noise that the network predicts, in which a level may have a weight
// (mse_weights()). Levels are drawn from those that hold both image and noise: all but the first
// and the last.
#include "diffusion/objectives/level_draws.h"
#include "diffusion/objectives/objectives.h"

namespace cdm {
namespace {

class DenoisingObjective final : public Objective {
 public:
  DenoisingObjective(const LossConfig& config, const NoiseSchedule& schedule)
      : weight_(config.mse_weight),
        level_(config.level_sampling, config.level_density, schedule, 1,
               schedule.reference_level() - 1),
        mse_weights_(mse_weights(config, schedule, level_.probability())) {}

  double forward_passes() const override { return 3.0; }
  std::vector<std::string> terms() const override {
    return MeanSquaredError::names(mse_weights_.defined());
  }

  NamedTensors draw(const NoiseSchedule& /*schedule*/, const RowDraws& draws) const override {
    return {{"t", level_(draws)}, {"noise", draws.normal(Purpose::noise)}};
  }

  Loss loss(const Model& model, const TrainingRows& rows, DropoutMasks* masks) const override {
    const at::Tensor eps =
        model.network()(noisy_images(model, rows), rows["t"], rows.condition(), masks);
    const MeanSquaredError mse(eps, rows["noise"], rows["t"], mse_weights_, {}, eps.size(0));
    return {weight_ * mse.weighted(), mse.terms()};
  }

 private:
  double weight_;
  LevelDraws level_;
  at::Tensor mse_weights_;  // [K]; undefined: all are 1
};

}  // namespace

std::unique_ptr<Objective> make_denoising_objective(const LossConfig& config,
                                                    const NoiseSchedule& schedule) {
  return std::make_unique<DenoisingObjective>(config, schedule);
}

}  // namespace cdm
