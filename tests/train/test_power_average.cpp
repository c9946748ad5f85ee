// SPDX-License-Identifier: MIT
// Averages with a power profile against their formula, and averages of other widths made of stored
// ones against averages that were kept from the beginning.
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "cdm/train/learner.h"
#include "cdm/train/optimizer.h"
#include "cdm/train/power_average.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;

TrainConfig power_config(std::vector<double> widths) {
  TrainConfig config = RunConfig().train;
  config.ema_kind = AverageKind::power;
  config.ema_sigma_rel = std::move(widths);
  return config;
}

TEST(PowerAverage, HasTheExponentsOfThePaper) {
  EXPECT_NEAR(gamma_of(0.05), 16.97, 0.005);  // Karras et al., section 3.1
  EXPECT_NEAR(gamma_of(0.10), 6.94, 0.005);
  for (const double width : {0.001, 0.05, 0.2, 0.28}) {
    const double gamma = gamma_of(width);
    EXPECT_NEAR(std::sqrt((gamma + 1.0) / (gamma + 3.0)) / (gamma + 2.0), width, 1e-12);
  }
  EXPECT_THROW(gamma_of(0.0), c10::Error);
  EXPECT_THROW(gamma_of(0.3), c10::Error);
}

/// The weight of step tau = 1, 2, ... in the average of width `sigma_rel` after `steps` steps.
double weight_of(std::int64_t tau, std::int64_t steps, double sigma_rel) {
  const double power = gamma_of(sigma_rel) + 1.0;
  const auto share = [&](std::int64_t t) {
    return std::pow(static_cast<double>(t) / static_cast<double>(steps), power);
  };
  return share(tau) - share(tau - 1);
}

TEST(PowerAverage, WeighsTheStepsAsItsProfileSays) {
  const std::vector<double> widths = {0.05, 0.15, 0.28};
  const TrainConfig config = power_config(widths);
  ASSERT_EQ(average_count(config), 3);
  constexpr std::int64_t kSteps = 40;
  const auto weights_after = [](std::int64_t steps) {
    return numbers(static_cast<std::uint64_t>(steps), {7});
  };
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const NamedTensors average = {{"w", weights_after(0).clone()}};
    at::Tensor expected = at::zeros({7}, at::kDouble);
    for (std::int64_t tau = 1; tau <= kSteps; ++tau) {
      update_average(average, {{"w", weights_after(tau)}},
                     ema_decay_at(config, tau - 1, static_cast<std::int64_t>(i)));
      expected += weight_of(tau, kSteps, widths[i]) * weights_after(tau);
    }
    test::expect_close(average[0].second, expected, 1e-12, "average");
  }
  // The mean and the width of the profile: (gamma + 1) / (gamma + 2) and sigma_rel, times t.
  constexpr std::int64_t kMany = 100000;
  double mean = 0.0;
  double square = 0.0;
  for (std::int64_t tau = 1; tau <= kMany; ++tau) {
    const double at = (static_cast<double>(tau) - 0.5) / static_cast<double>(kMany);
    mean += weight_of(tau, kMany, 0.15) * at;
    square += weight_of(tau, kMany, 0.15) * at * at;
  }
  EXPECT_NEAR(std::sqrt(square - mean * mean), 0.15, 1e-6);
}

/// Profiles of two widths, every fifth step of a hundred.
std::vector<PowerProfile> stored_profiles() {
  std::vector<PowerProfile> stored;
  for (std::int64_t step = 5; step <= 100; step += 5) {
    stored.push_back({step, 0.1});
    stored.push_back({step, 0.05});
  }
  return stored;
}

TEST(PowerAverage, OfAStoredWidthIsTheStoredOne) {
  const std::vector<PowerProfile> stored = stored_profiles();
  const Combination same = combine(stored, {60, 0.05});
  EXPECT_LT(same.error, 1e-5);
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const bool is_it = stored[i].step == 60 && stored[i].sigma_rel == 0.05;
    EXPECT_NEAR(same.factors[i], is_it ? 1.0 : 0.0, 1e-3) << i;
  }
}

TEST(PowerAverage, OfOtherWidthsAreNearTheirProfile) {
  const std::vector<PowerProfile> stored = stored_profiles();
  for (const double width : {0.06, 0.08, 0.15, 0.2}) {
    SCOPED_TRACE(width);
    const Combination made = combine(stored, {100, width});
    EXPECT_LT(made.error, 0.02);
    EXPECT_NEAR(std::accumulate(made.factors.begin(), made.factors.end(), 0.0), 1.0, 1e-9);
    double squared_error = 0.0;
    double squared = 0.0;
    for (std::int64_t tau = 1; tau <= 100; ++tau) {
      double weight = 0.0;
      for (std::size_t i = 0; i < stored.size(); ++i) {
        if (tau > stored[i].step) continue;
        weight += made.factors[i] * weight_of(tau, stored[i].step, stored[i].sigma_rel);
      }
      const double wanted = weight_of(tau, 100, width);
      squared_error += (weight - wanted) * (weight - wanted);
      squared += wanted * wanted;
    }
    EXPECT_NEAR(std::sqrt(squared_error / squared), made.error, 0.005);
  }
  // One average alone cannot stand for another width, and the error says so.
  EXPECT_GT(combine({{100, 0.1}}, {100, 0.2}).error, 0.2);
}

TEST(PowerAverage, MadeAfterATrainingIsTheOneKeptInIt) {
  RunConfig config = test::small_config();
  config.train.learning_rate = 3e-3;
  config.train.ema_kind = AverageKind::power;
  constexpr double kWanted = 0.17;
  config.train.ema_sigma_rel = {0.1, 0.05, kWanted};  // the last one is not stored
  constexpr std::int64_t kSteps = 60;
  const at::Tensor images = numbers(1, {4, 1, 8, 8}).tanh();
  Learner learner(config, {1, 8, NoiseSchedule(config.diffusion).levels()}, at::kCPU, at::kDouble);
  std::vector<PowerProfile> profiles;
  std::vector<std::vector<at::Tensor>> stored;
  const auto store = [&](std::int64_t step, const NamedTensors& average, double width) {
    profiles.push_back({step, width});
    stored.emplace_back();
    for (const at::Tensor& value : values_of(average)) stored.back().push_back(value.clone());
  };
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    learner.step(test::step_inputs(config, step, images));
    if (step % 4 != 0) continue;
    store(step, learner.state().ema, 0.1);
    store(step, learner.state().more_emas[0], 0.05);
  }
  const Combination combination = combine(profiles, {kSteps, kWanted});
  const std::vector<at::Tensor> kept = values_of(learner.state().more_emas[1]);
  double squared_error = 0.0;
  double squared_distance = 0.0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    at::Tensor made = at::zeros(kept[i].sizes(), at::kDouble);
    for (std::size_t k = 0; k < stored.size(); ++k) made += combination.factors[k] * stored[k][i];
    squared_error += (made - kept[i]).square().sum().item<double>();
    // The nearest stored average, to which the made one is an alternative.
    squared_distance += (stored[stored.size() - 2][i] - kept[i]).square().sum().item<double>();
  }
  EXPECT_GT(squared_distance, 0.0);
  EXPECT_LT(std::sqrt(squared_error), 0.05 * std::sqrt(squared_distance));
}

}  // namespace
}  // namespace cdm
