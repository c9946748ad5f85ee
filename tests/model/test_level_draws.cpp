// SPDX-License-Identifier: MIT
// Which noise levels the rows of a batch draw, and what a level weighs in the denoising error.
#include <ATen/TensorOperators.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "diffusion/objectives/level_draws.h"
#include "support.h"

namespace cdm {
namespace {

constexpr std::int64_t kT = 6, kLevels = kT + 2;

NoiseSchedule small_schedule() {
  DiffusionConfig config = RunConfig().diffusion;
  config.steps = kT;
  config.beta_start = 0.05;
  config.beta_end = 0.6;
  return NoiseSchedule(config);
}

RowDraws draws_of(std::int64_t step, std::int64_t first, std::int64_t count, std::int64_t all) {
  return {5, step, first, at::zeros({count, 1, 1, 1}), all};
}

std::vector<double> sorted(const at::Tensor& values) {
  const at::Tensor in_order = std::get<0>(values.to(at::kDouble).sort());
  const auto* const begin = in_order.const_data_ptr<double>();
  return {begin, begin + in_order.numel()};
}

// ---- numbers that are spread over the batch ----

TEST(Spread, OneNumberFallsIntoEachPartOfTheBatchsShare) {
  for (const std::int64_t rows : {1, 2, 3, 6, 7, 12, 64, 100, 128}) {
    SCOPED_TRACE(rows);
    const std::vector<double> u = sorted(draws_of(3, 0, rows, 0).spread(Purpose::level));
    EXPECT_GE(u.front(), 0.0);
    EXPECT_LT(u.back(), 1.0);
    for (std::size_t i = 0; i + 1 < u.size(); ++i) {
      EXPECT_NEAR(u[i + 1] - u[i], 1.0 / static_cast<double>(rows), 1e-12);
    }
  }
}

TEST(Spread, ANumberDependsOnTheRowNotOnThePartOfTheBatch) {
  const at::Tensor whole = draws_of(3, 0, 12, 12).spread(Purpose::level);
  for (const std::int64_t first : {0, 1, 5}) {
    EXPECT_TRUE(
        at::equal(draws_of(3, first, 4, 12).spread(Purpose::level), whole.narrow(0, first, 4)));
  }
  EXPECT_FALSE(at::equal(draws_of(4, 0, 12, 12).spread(Purpose::level), whole));
  const StreamIndex step(at::full({}, 3, at::kLong));
  EXPECT_TRUE(
      at::equal(RowDraws(5, step, 0, at::zeros({12, 1, 1, 1})).spread(Purpose::level), whole));
}

TEST(Spread, RowsThatFollowEachOtherAreFarApart) {
  for (const std::int64_t part : {8, 16, 32}) {
    const std::vector<double> u = sorted(draws_of(3, 40, part, 128).spread(Purpose::level));
    double widest = u.front() + 1.0 - u.back();
    for (std::size_t i = 0; i + 1 < u.size(); ++i) widest = std::max(widest, u[i + 1] - u[i]);
    EXPECT_LT(widest, 3.0 / static_cast<double>(part)) << part;
  }
}

// ---- levels ----

using Draws = std::tuple<LevelSampling, LevelDensity>;
class EveryLevelDraws : public testing::TestWithParam<Draws> {};

/// How often each level was drawn for one row number in many steps.
at::Tensor counts_of_row(const LevelDraws& level, std::int64_t row, std::int64_t steps) {
  std::vector<at::Tensor> levels;
  for (std::int64_t step = 0; step < steps; ++step) {
    levels.push_back(level(draws_of(step, row, 1, 10)));
  }
  return at::bincount(at::cat(levels), {}, kLevels).to(at::kDouble);
}

TEST_P(EveryLevelDraws, GiveEachRowEachLevelWithItsProbability) {
  const auto& [sampling, density] = GetParam();
  constexpr std::int64_t kSteps = 2000;
  for (const auto& [first, count] : {std::pair{0, 8}, std::pair{1, 6}, std::pair{0, 2}}) {
    const LevelDraws level(sampling, density, small_schedule(), first, count);
    const at::Tensor q = level.probability();
    EXPECT_NEAR(q.sum().item<double>(), 1.0, 1e-14);
    EXPECT_EQ(q.gt(0).sum().item<std::int64_t>(), count);
    const at::Tensor seen = counts_of_row(level, 7, kSteps) / static_cast<double>(kSteps);
    const at::Tensor error = (q * (1.0 - q) / static_cast<double>(kSteps)).sqrt();
    EXPECT_LT(((seen - q).abs() - 4.0 * error).max().item<double>(), 1e-12)
        << first << " " << count << "\n"
        << seen << q;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryLevelDraws,
                         testing::Combine(testing::ValuesIn(test::all_kinds<LevelSampling>()),
                                          testing::ValuesIn(test::all_kinds<LevelDensity>())),
                         [](const auto& info) {
                           return name_of(std::get<0>(info.param)) + "_" +
                                  name_of(std::get<1>(info.param));
                         });

TEST(LevelDraws, StratifiedLevelsOfABatchAreAsFrequentAsTheyAreLikely) {
  for (const LevelDensity density : test::all_kinds<LevelDensity>()) {
    const LevelDraws level(LevelSampling::stratified, density, small_schedule(), 0, kLevels);
    for (std::int64_t step = 0; step < 20; ++step) {
      const at::Tensor t = level(draws_of(step, 0, 100, 100));
      const at::Tensor counts = at::bincount(t, {}, kLevels).to(at::kDouble);
      EXPECT_LT((counts - 100.0 * level.probability()).abs().max().item<double>(), 1.0 + 1e-9);
    }
  }
}

TEST(LevelDraws, OfTheLogSnrLeaveTheEndsTheirShare) {
  const NoiseSchedule schedule = small_schedule();
  const LevelDraws level(LevelSampling::independent, LevelDensity::log_snr, schedule, 0, kLevels);
  const at::Tensor& q = level.probability();
  EXPECT_NEAR(q[0].item<double>(), 1.0 / kLevels, 1e-15);
  EXPECT_NEAR(q[kLevels - 1].item<double>(), 1.0 / kLevels, 1e-15);
  const at::Tensor part = schedule.log_snr_weights() / schedule.log_snr_weights().sum();
  test::expect_close(q.narrow(0, 1, kT), (part * (1.0 - 2.0 / kLevels)).narrow(0, 1, kT), 1e-14,
                     "levels between");
  EXPECT_GT((q[1] - q[3]).abs().item<double>(), 0.01) << "not a uniform density";
}

TEST(LevelDraws, AddTheLogarithmOfTheirProbabilityToLogits) {
  const at::Tensor f = test::numbers(1, {3, kLevels});
  const LevelDraws even(LevelSampling::independent, LevelDensity::uniform, small_schedule(), 0,
                        kLevels);
  EXPECT_TRUE(at::equal(even.with_prior(f), f));
  const LevelDraws uneven(LevelSampling::independent, LevelDensity::log_snr, small_schedule(), 0,
                          kLevels);
  test::expect_close(uneven.with_prior(f), f + uneven.probability().log(), 1e-15, "f + log q");
}

// ---- weights of the denoising error ----

at::Tensor weights_of(MseWeighting weighting, const LevelDraws& level, double gamma = 5.0) {
  LossConfig config = RunConfig().loss;
  config.mse_weighting = weighting;
  config.min_snr_gamma = gamma;
  return mse_weights(config, small_schedule(), level.probability());
}

TEST(MseWeights, OfTheLikelihoodGiveTheIntegralWhateverIsDrawn) {
  const NoiseSchedule schedule = small_schedule();
  const at::Tensor part = schedule.log_snr_weights() / schedule.log_snr_weights().sum();
  for (const LevelDensity density : test::all_kinds<LevelDensity>()) {
    for (const auto& [first, count] : {std::pair{0, 8}, std::pair{1, 6}}) {
      const LevelDraws level(LevelSampling::independent, density, schedule, first, count);
      const at::Tensor w = weights_of(MseWeighting::likelihood, level);
      test::expect_close(w * level.probability(), part, 1e-14, "q w");
    }
  }
}

TEST(MseWeights, OfMinSnrFallAboveGamma) {
  const NoiseSchedule schedule = small_schedule();
  const LevelDraws level(LevelSampling::independent, LevelDensity::uniform, schedule, 0, kLevels);
  const double gamma = std::exp(schedule.log_snr(3)) * 1.0001;  // between levels 2 and 3
  const at::Tensor w = weights_of(MseWeighting::min_snr, level, gamma);
  EXPECT_EQ(w[0].item<double>(), 0.0);  // the data: no noise
  for (std::int64_t t = 1; t < kLevels; ++t) {
    const double snr = std::exp(schedule.log_snr(t));
    EXPECT_NEAR(w[t].item<double>(), t < 3 ? gamma / snr : 1.0, 1e-12) << t;
  }
}

TEST(MseWeights, AreNoneWhereAllLevelsWeighTheSame) {
  const LevelDraws level(LevelSampling::independent, LevelDensity::uniform, small_schedule(), 0,
                         kLevels);
  EXPECT_FALSE(weights_of(MseWeighting::flat, level).defined());
}

}  // namespace
}  // namespace cdm
