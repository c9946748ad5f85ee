// SPDX-License-Identifier: MIT
// Samplers on Gaussian data, whose best denoiser and whose exact answers are known: the probability
// flow keeps (x_t - signal_t m) / sqrt(signal_t^2 c^2 + sigma_t^2) as it is.
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "cdm/sample/sample.h"
#include "gaussian_model.h"
#include "support.h"

namespace cdm {
namespace {

constexpr double kMean = 0.3;
constexpr double kWidth = 0.4;

/// The exact model of N(kMean, kWidth^2 I). Logits of very many levels take long.
Model model_of(ScheduleKind schedule, std::int64_t T, Prediction predicts = Prediction::noise) {
  return test::gaussian_model(predicts, test::schedule_of(schedule, T), {kMean}, kWidth);
}

constexpr std::int64_t kT = 128000;  // so many that a level's own width does not show

/// What the flow makes of x_T at level t.
at::Tensor exact(const NoiseSchedule& schedule, const at::Tensor& x_T, std::int64_t t) {
  const auto width = [&](std::int64_t level) {
    return std::hypot(schedule.signal(level) * kWidth, schedule.sigma(level));
  };
  return schedule.signal(t) * kMean + (width(t) / width(kT)) * (x_T - schedule.signal(kT) * kMean);
}

/// Error at level t of the sampler in `steps` even steps.
double error_at(std::int64_t t, const Model& model, SamplerKind sampler, std::int64_t steps) {
  const at::Tensor x_T = test::numbers(1, {4, 1, 2, 2});
  SampleConfig config = RunConfig().sample;
  config.sampler = sampler;
  config.spacing = Spacing::trailing;
  config.steps = steps;
  at::Tensor reached;
  sample(model, config, x_T, {}, {}, [&](const SampleStep& step) {
    if (kT - step.done * (kT / steps) == t) reached = step.x;
  });
  return test::relative_error(reached, exact(model.schedule(), x_T, t));
}

struct Method {
  SamplerKind sampler;
  double order;
};
void PrintTo(const Method& method, std::ostream* out) { *out << name_of(method.sampler); }

class Order : public testing::TestWithParam<Method> {};

// At a level in between: even steps in t are uneven in lambda, without bound, only near x_0.
TEST_P(Order, OfConvergenceIsTheOneOfTheMethod) {
  const auto& [sampler, order] = GetParam();
  const Model model = model_of(ScheduleKind::linear, kT);
  std::vector<double> errors;
  for (const std::int64_t steps : {80, 160, 320}) {
    errors.push_back(error_at(kT / 4, model, sampler, steps));
  }
  EXPECT_NEAR(std::log2(errors[0] / errors[1]), order, 0.15);
  EXPECT_NEAR(std::log2(errors[1] / errors[2]), order, 0.15);
}

INSTANTIATE_TEST_SUITE_P(Methods, Order,
                         testing::Values(Method{SamplerKind::ddim, 1},
                                         Method{SamplerKind::euler, 1},
                                         Method{SamplerKind::heun, 2},
                                         Method{SamplerKind::dpm_solver_2, 2},
                                         Method{SamplerKind::dpm_solver_pp_2m, 2}));

class Flow : public testing::TestWithParam<std::tuple<SamplerKind, ScheduleKind>> {};

TEST_P(Flow, EndsAtItsExactAnswer) {
  const auto& [sampler, schedule] = GetParam();
  const Model model = model_of(schedule, kT);
  const double coarse = error_at(0, model, sampler, 40);
  const double fine = error_at(0, model, sampler, 640);
  EXPECT_LT(coarse, 0.2);
  // At least first order; where errors of two kinds cancel in the coarse one, a small error.
  EXPECT_LT(fine, std::max(coarse / 8, 5e-4));
}

INSTANTIATE_TEST_SUITE_P(
    Methods, Flow,
    testing::Combine(testing::Values(SamplerKind::ddim, SamplerKind::euler, SamplerKind::heun,
                                     SamplerKind::dpm_solver_2, SamplerKind::dpm_solver_pp_2m),
                     testing::ValuesIn(test::all_kinds<ScheduleKind>())));

// A Gaussian stays one under ancestral sampling, too: its variance follows a recursion, and with
// all levels visited ends near that of the data.
class Ancestral : public testing::TestWithParam<std::tuple<SamplerKind, ScheduleKind>> {};

TEST_P(Ancestral, HasTheMeanAndVarianceOfTheData) {
  const auto& [sampler, schedule] = GetParam();
  constexpr std::int64_t kLevels = 400;
  const Model model = model_of(schedule, kLevels, Prediction::logits);
  SampleConfig config = RunConfig().sample;
  config.sampler = sampler;
  config.eta = 1.0;
  config.steps = kLevels;
  const at::Tensor x_T = start_noise(5, 0, at::zeros({500, 1, 4, 4}, at::kDouble));
  const at::Tensor x0 = sample(model, config, x_T, {}, {.seed = 5});
  const double count = 8000.0;
  EXPECT_NEAR(x0.mean().item<double>(), kMean, 5.0 * kWidth / std::sqrt(count));
  EXPECT_NEAR(x0.std().item<double>(), kWidth, 0.02 * kWidth + 5.0 * kWidth / std::sqrt(2 * count));
}

INSTANTIATE_TEST_SUITE_P(Methods, Ancestral,
                         testing::Combine(testing::Values(SamplerKind::ddpm, SamplerKind::ddim),
                                          testing::ValuesIn(test::all_kinds<ScheduleKind>())));

TEST(Sampler, DdimWithEtaOneIsDdpm) {
  const Model model = model_of(ScheduleKind::cosine, 100);
  SampleConfig config = RunConfig().sample;
  config.steps = 10;
  const at::Tensor x_T = test::numbers(1, {2, 1, 2, 2});
  const auto run = [&](SamplerKind sampler, double eta) {
    config.sampler = sampler;
    config.eta = eta;
    return sample(model, config, x_T, {}, {.seed = 1});
  };
  test::expect_close(run(SamplerKind::ddim, 1.0), run(SamplerKind::ddpm, 0.0), 1e-12, "x_0");
  EXPECT_GT(test::relative_error(run(SamplerKind::ddim, 0.5), run(SamplerKind::ddpm, 0.0)), 0.01);
}

/// Every step of a run on `model` from the same x_T, with `draw` in place of all its noise.
std::vector<SampleStep> steps_of(const Model& model, const SampleConfig& config,
                                 double draw = 0.0) {
  SampleDraws draws;
  draws.noise = [&](std::int64_t) { return at::full({2, 1, 2, 2}, draw, at::kDouble); };
  std::vector<SampleStep> steps;
  sample(model, config, test::numbers(1, {2, 1, 2, 2}), {}, draws,
         [&](const SampleStep& step) { steps.push_back(step); });
  return steps;
}

TEST(Sampler, DdimsNoiseGrowsWithEta) {
  const Model model = model_of(ScheduleKind::linear, 100);
  SampleConfig config = RunConfig().sample;
  config.steps = 10;
  const auto noise = [&](double eta) {
    config.eta = eta;
    return steps_of(model, config, 1.0)[0].x - steps_of(model, config, 0.0)[0].x;
  };
  test::expect_close(noise(0.5), 0.5 * noise(1.0), 1e-10, "half of eta, half of the noise");
  EXPECT_GT(noise(1.0).min().item<double>(), 0.01);
}

TEST(Sampler, MultistepMethodsLookBackFromTheSecondStepOn) {
  const Model model = model_of(ScheduleKind::linear, 100);
  SampleConfig config = RunConfig().sample;
  config.steps = 10;
  config.sampler = SamplerKind::ddim;
  const std::vector<SampleStep> first_order = steps_of(model, config);
  for (const SamplerKind sampler : {SamplerKind::dpm_solver_2, SamplerKind::dpm_solver_pp_2m}) {
    config.sampler = sampler;
    const std::vector<SampleStep> steps = steps_of(model, config);
    test::expect_close(steps[0].x, first_order[0].x, 1e-12, name_of(sampler));
    EXPECT_GT(test::relative_error(steps[1].x, first_order[1].x), 1e-6) << name_of(sampler);
  }
}

// The velocity form: x_s = x_t + (s - t) v, v = (eps - x_t) / (T - t).
TEST(Sampler, EulerFollowsTheVelocityOfFlowMatching) {
  constexpr std::int64_t kLevels = 20;
  const Model model = model_of(ScheduleKind::flow_matching, kLevels);
  SampleConfig config = RunConfig().sample;
  config.sampler = SamplerKind::euler;
  config.spacing = Spacing::linspace;
  config.steps = kLevels;
  const std::vector<SampleStep> steps = steps_of(model, config);
  // At level T the image is the noise, v = eps - x_0 of the x_0 that level T-1 predicts.
  test::expect_close(steps[0].x, steps[0].from - (steps[0].from - steps[0].x0) / kLevels, 1e-12,
                     "level T");
  for (std::int64_t t = kLevels - 1; t >= 1; --t) {
    const SampleStep& step = steps[static_cast<std::size_t>(kLevels - t)];
    const at::Tensor levels = at::full({2}, t, at::kLong);
    const at::Tensor eps = model.predict_noise(step.from, levels);
    const at::Tensor v = (eps - step.from) / static_cast<double>(kLevels - t);
    test::expect_close(step.x, step.from - v, 1e-12, std::to_string(t));
  }
}

}  // namespace
}  // namespace cdm
