// SPDX-License-Identifier: MIT
// Telescoping density-ratio estimation (Rhodes et al., 2020): ce_weight times the mean, over pairs
// of neighbouring levels k and k+1 ("bridges"), of the logistic loss (in nats) of the decision
// between the two, whose logit is f[k] - f[k+1].
#include <ATen/TensorOperators.h>
#include <ATen/ops/softplus.h>

#include "diffusion/objectives/level_draws.h"
#include "diffusion/objectives/objectives.h"

namespace cdm {
namespace {

class TreObjective final : public Objective {
 public:
  TreObjective(const LossConfig& config, const NoiseSchedule& schedule)
      : weight_(config.ce_weight),
        level_(config.level_sampling, LevelDensity::uniform, schedule, 0, schedule.levels()) {}

  double forward_passes() const override { return 3.0; }
  std::vector<std::string> terms() const override { return {"ce", "accuracy"}; }

  NamedTensors draw(const NoiseSchedule& /*schedule*/, const RowDraws& draws) const override {
    return {{"t", level_(draws)}, {"noise", draws.normal(Purpose::noise)}};
  }

  /// An image of level t takes part in two decisions, t-1 against t and t against t+1; an image of
  /// the first or last level takes part in one.
  Loss loss(const Model& model, const TrainingRows& rows, DropoutMasks* masks) const override {
    const at::Tensor& t = rows["t"];
    const at::Tensor f = model.network()(noisy_images(model, rows), t, rows.condition(), masks);
    const std::int64_t bridges = f.size(1) - 1;
    // log p_k(x) / p_{k+1}(x) of every bridge k: [B, bridges].
    const at::Tensor ratios = f.narrow(1, 0, bridges) - f.narrow(1, 1, bridges);
    const auto ratio_of = [&](const at::Tensor& k) {
      return ratios.gather(1, k.clamp(0, bridges - 1).unsqueeze(1)).squeeze(1);
    };
    const at::Tensor has_upper = t.lt(bridges).to(f.scalar_type());
    const at::Tensor has_lower = t.gt(0).to(f.scalar_type());
    const at::Tensor upper = ratio_of(t);         // t against t+1: should be large
    const at::Tensor lower = ratio_of(t.sub(1));  // t-1 against t: should be small
    // Each of the bridges + 1 levels is equally likely, and a bridge gets the images of two levels:
    // a share 2 / (bridges + 1) of them. The scale makes this the mean over bridges.
    const double scale = static_cast<double>(bridges + 1) / static_cast<double>(2 * bridges);
    const at::Tensor loss =
        (at::softplus(-upper) * has_upper + at::softplus(lower) * has_lower).mean() * scale;
    const at::Tensor right = upper.detach().gt(0) * has_upper + lower.detach().lt(0) * has_lower;
    return {weight_ * loss,
            {{"ce", loss.detach()}, {"accuracy", (right.mean() * scale).to(at::kFloat)}}};
  }

 private:
  double weight_;
  LevelDraws level_;
};

}  // namespace

std::unique_ptr<Objective> make_tre_objective(const LossConfig& config,
                                              const NoiseSchedule& schedule) {
  return std::make_unique<TreObjective>(config, schedule);
}

}  // namespace cdm
