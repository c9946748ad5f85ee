// SPDX-License-Identifier: MIT
// What classifiers are trained to: where logits are the true log-densities of Gaussian data, the
// expected gradient of each objective is zero, however levels are drawn, weighted and shared out.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "gaussian_model.h"
#include "support.h"

namespace cdm {
namespace {

constexpr double kMean = 0.3, kWidth = 0.5;

/// The exact logits of Gaussian images, of which every third is wrong by `error`, plus
/// a[t] + b[t] sum(x) + c[t] sum(x^2) with parameters that are zero: directions in which a loss
/// could pull the logits.
class AroundTheTruth final : public Network {
 public:
  AroundTheTruth(const NoiseSchedule& schedule, double error)
      : Network(Prediction::logits, {1, 2, schedule.levels()}, 0),
        exact_(Prediction::logits, schedule, {kMean}, kWidth),
        error_(at::arange(schedule.levels(), at::kLong).remainder(3).eq(0).to(at::kDouble) *
               error) {
    for (const char* const name : {"a", "b", "c"}) {
      parameters_.emplace_back(name, at::zeros({schedule.levels()}, test::real64()));
    }
    set_requires_grad(true);
  }

 protected:
  at::Tensor forward(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                     DropoutMasks* /*masks*/) const override {
    const at::Tensor rows = x.flatten(1);
    return exact_(x, t, given) + error_ + parameters_[0].second +
           parameters_[1].second * rows.sum(1, true) +
           parameters_[2].second * rows.square().sum(1, true);
  }

 private:
  test::GaussianNetwork exact_;
  at::Tensor error_;  // [K]
};

struct Case {
  std::string name;
  RunConfig config;
};
void PrintTo(const Case& shown, std::ostream* out) { *out << shown.name; }

DiffusionConfig few_levels() {
  DiffusionConfig config = RunConfig().diffusion;
  config.schedule = ScheduleKind::log_snr;
  config.steps = 7;
  config.log_snr_max = 3.0;
  config.log_snr_min = -3.0;
  return config;
}

RunConfig config_of(ObjectiveKind kind) {
  RunConfig config;
  config.diffusion = few_levels();
  config.loss.kind = kind;
  config.loss.ce_weight = 1.0;
  config.loss.mse_weight = 0.1;
  config.loss.subset_levels = 3;
  config.loss.time_score_weight = 0.0;
  config.loss.time_score_from = 2;
  return config;
}

/// The z-scores of the mean gradient by all parameters, over independent batches.
at::Tensor z_scores(const RunConfig& config, double error) {
  constexpr std::int64_t kBatches = 60, kRows = 1500;
  const NoiseSchedule schedule(config.diffusion);
  const Model model(std::make_shared<AroundTheTruth>(schedule, error), schedule);
  const std::vector<at::Tensor> parameters = values_of(model.network().parameters());
  const std::unique_ptr<Objective> objective = make_objective(config.loss, schedule);
  std::vector<at::Tensor> gradients;
  for (std::int64_t batch = 0; batch < kBatches; ++batch) {
    const at::Tensor x0 =
        test::numbers(static_cast<std::uint64_t>(batch), {kRows, 1, 2, 2}) * kWidth + kMean;
    const TrainingRows rows = draw_inputs(config, *objective, schedule, batch, x0, {});
    const Loss loss = objective->loss(model, rows, nullptr);
    gradients.push_back(at::cat(torch::autograd::grad({loss.total}, parameters)));
  }
  const at::Tensor all = at::stack(gradients);
  const double count = kBatches;
  // Some gradients are zero in all batches: f[t] of levels that a term does not read.
  return all.mean(0) / (all.std(0) / std::sqrt(count) + 1e-15);
}

class Optimum : public testing::TestWithParam<Case> {};

TEST_P(Optimum, IsTheTrueLogRatio) {
  const double most = z_scores(GetParam().config, 0.0).abs().max().item<double>();
  EXPECT_LT(most, 4.5);
}

TEST_P(Optimum, IsNothingElse) {
  const double most = z_scores(GetParam().config, 0.5).abs().max().item<double>();
  EXPECT_GT(most, 10.0);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const ObjectiveKind kind : {ObjectiveKind::cdm, ObjectiveKind::subset, ObjectiveKind::pairs,
                                   ObjectiveKind::time_score, ObjectiveKind::tre}) {
    all.push_back({name_of(kind), config_of(kind)});
    if (kind == ObjectiveKind::tre) continue;
    all.push_back({name_of(kind) + "_by_log_snr", config_of(kind)});
    LossConfig& loss = all.back().config.loss;
    loss.level_density = LevelDensity::log_snr;
    loss.level_sampling = LevelSampling::stratified;
    loss.mse_weighting = MseWeighting::likelihood;
    loss.mse_share = 0.5;
  }
  all.push_back({"pairs_kl", config_of(ObjectiveKind::pairs)});
  all.back().config.loss.pair_loss = PairLoss::kl;
  all.push_back({"pairs_kl_by_log_snr", config_of(ObjectiveKind::pairs)});
  all.back().config.loss.pair_loss = PairLoss::kl;
  all.back().config.loss.level_density = LevelDensity::log_snr;
  all.push_back({"pairs_at_any_distance", config_of(ObjectiveKind::pairs)});
  all.back().config.loss.pair_distance = PairDistance::uniform;
  // The mean of tau given x is the derivative of log p by the level, for small differences only.
  all.push_back({"time_score_alone", config_of(ObjectiveKind::time_score)});
  all.back().config.diffusion.steps = 40;
  all.back().config.loss.time_score_from = 10;
  all.back().config.loss.time_score_weight = 1.0;
  all.back().config.loss.ce_weight = 0.0;
  all.back().config.loss.mse_weight = 0.0;
  return all;
}

INSTANTIATE_TEST_SUITE_P(Cases, Optimum, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace cdm
