// SPDX-License-Identifier: MIT
// The objective of cdm.cpp, and the error of the density's change from level to level (the time
// score of Guth et al., 2025, arXiv 2506.05310, as a central difference over levels):
//
//   ce_weight CE + mse_weight MSE + time_score_weight mean of kappa_t (g - tau)^2
//   g   = (f[t+1] - f[t-1]) / 2 at x_t
//   tau = (log N(x_t; signal_{t+1} x_0, sigma_{t+1}^2 I) - log N(x_t; signal_{t-1} x_0, ...)) / 2
//
// for t = time_score_from .. R-1; other rows have no such term. The derivative of log p_t(x) by the
// level is the mean of that of log N over all x_0 that x may come from, so g should be the mean of
// tau. That holds for differences up to the third order of the distance between levels. A one-sided
// difference would be wrong in the second. Below time_score_from, where sigma changes by a large
// factor from level to level, differences say nothing about derivatives.
//
// The square of tau's deviation has the mean 1 / kappa_t = (d/4) (2 b^2 + e^2) over the noise, with
// the factors of the formula for tau below and for images whose mean square per pixel is 1.
//
// g links levels of equal parity only, and no level below time_score_from - 1. The cross entropy
// links all of them.
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "diffusion/objectives/logits_objective.h"
#include "diffusion/objectives/objectives.h"

namespace cdm {
namespace {

enum Factor { kConstant, kNoise, kImage, kBoth, kWeight, kFactors };

/// With x_t = signal x_0 + sigma eps:
///   tau = 1/2 (constant d + b (||eps||^2 - d) + c ||x_0||^2 + e <x_0, eps>)
/// The rows t of the result are constant, b, c, e and 1 / (2 b^2 + e^2): float64 [K, 5], CPU. They
/// are 0 for the levels without a time score.
at::Tensor factors_of_levels(const NoiseSchedule& schedule, std::int64_t from) {
  const at::Tensor table =
      at::zeros({schedule.levels(), kFactors}, at::TensorOptions().dtype(at::kDouble));
  for (std::int64_t t = from; t < schedule.reference_level(); ++t) {
    const double sigma = schedule.sigma(t);
    const double above = 1.0 / schedule.sigma(t + 1), below = 1.0 / schedule.sigma(t - 1);
    const double to_above = (schedule.signal(t) - schedule.signal(t + 1)) * above;
    const double to_below = (schedule.signal(t) - schedule.signal(t - 1)) * below;
    auto* const row = table.mutable_data_ptr<double>() + t * kFactors;
    row[kNoise] = -0.5 * sigma * sigma * (above * above - below * below);
    row[kConstant] = std::log(above / below) + row[kNoise];
    row[kImage] = -0.5 * (to_above * to_above - to_below * to_below);
    row[kBoth] = -sigma * (to_above * above - to_below * below);
    row[kWeight] = 1.0 / (2.0 * row[kNoise] * row[kNoise] + row[kBoth] * row[kBoth]);
  }
  return table;
}

class TimeScoreObjective final : public LogitsObjective {
 public:
  TimeScoreObjective(const LossConfig& config, const NoiseSchedule& schedule)
      : LogitsObjective(config, schedule),
        factors_(factors_of_levels(schedule, config.time_score_from).to(schedule.options())) {}

 protected:
  std::vector<std::string> logits_terms() const override { return {"ce", "time_score_error"}; }

  LogitsLoss loss_of_logits(const at::Tensor& f, const TrainingRows& rows) const override {
    const at::Tensor& t = rows["t"];
    const auto d = static_cast<double>(rows.x0[0].numel());
    const at::Tensor factors = factors_.index_select(0, t);
    const auto factor = [&](Factor which) { return factors.select(1, which); };
    const auto product = [](const at::Tensor& a, const at::Tensor& b) {
      return (a * b).flatten(1).sum(1);
    };
    const at::Tensor& noise = rows["noise"];
    const at::Tensor tau =
        0.5 *
        (factor(kConstant) * d + factor(kNoise) * (product(noise, noise) - d) +
         factor(kImage) * product(rows.x0, rows.x0) + factor(kBoth) * product(rows.x0, noise));
    const auto of_level = [&](const at::Tensor& level) {
      return f.gather(1, level.clamp(0, f.size(1) - 1).unsqueeze(1)).squeeze(1);
    };
    const at::Tensor g = 0.5 * (of_level(t + 1) - of_level(t - 1));
    const at::Tensor error = (factor(kWeight) * (4.0 / d) * (g - tau).square()).mean();
    LogitsLoss loss = cross_entropy(f, t);
    loss.total = loss.total + config().time_score_weight * error;
    loss.terms.emplace_back("time_score_error", error.detach());
    return loss;
  }

 private:
  at::Tensor factors_;  // [K, 5], with the schedule
};

}  // namespace

std::unique_ptr<Objective> make_time_score_objective(const LossConfig& config,
                                                     const NoiseSchedule& schedule) {
  return std::make_unique<TimeScoreObjective>(config, schedule);
}

}  // namespace cdm
