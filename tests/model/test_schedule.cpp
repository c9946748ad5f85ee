// SPDX-License-Identifier: MIT
// How much image and how much noise each level of each schedule holds.
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "cdm/core/error.h"
#include "cdm/diffusion/schedule.h"
#include "files.h"
#include "support.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

NoiseSchedule schedule_of(ScheduleKind kind, std::int64_t T) {
  DiffusionConfig config = RunConfig().diffusion;
  config.schedule = kind;
  config.steps = T;
  return NoiseSchedule(config);
}

TEST(Schedule, LinearIsTheProductOfItsBetas) {
  const NoiseSchedule schedule = schedule_of(ScheduleKind::linear, 1000);
  EXPECT_EQ(schedule.levels(), 1002);
  double product = 1.0;
  for (std::int64_t t = 1; t <= 1000; ++t) {
    product *= 1.0 - (1e-4 + (0.02 - 1e-4) * static_cast<double>(t - 1) / 999.0);
    EXPECT_NEAR(schedule.signal(t), std::sqrt(product), 1e-12) << t;
    EXPECT_NEAR(schedule.sigma(t), std::sqrt(1.0 - product), 1e-12) << t;
  }
}

TEST(Schedule, CosineIsThatOfNicholAndDhariwal) {
  const NoiseSchedule schedule = schedule_of(ScheduleKind::cosine, 99);
  EXPECT_EQ(schedule.levels(), 101);
  const auto g = [](double u) {
    return std::pow(std::cos((u + 0.008) / 1.008 * std::numbers::pi / 2), 2);
  };
  for (const std::int64_t t : {1, 50, 99}) {
    EXPECT_NEAR(std::pow(schedule.signal(t), 2), g(static_cast<double>(t) / 100) / g(0), 1e-14);
  }
}

TEST(Schedule, UniformHasEvenStepsOfNoise) {
  const NoiseSchedule schedule = schedule_of(ScheduleKind::uniform, 9);
  EXPECT_EQ(schedule.levels(), 11);
  EXPECT_NEAR(schedule.sigma(3), 0.3, 1e-15);
  EXPECT_NEAR(schedule.signal(3), std::sqrt(1.0 - 0.09), 1e-15);
}

TEST(Schedule, LogSnrFallsInEvenSteps) {
  DiffusionConfig config = RunConfig().diffusion;
  config.schedule = ScheduleKind::log_snr;
  config.steps = 5;
  config.log_snr_max = 9.0;
  config.log_snr_min = -3.0;
  const NoiseSchedule schedule(config);
  EXPECT_EQ(schedule.levels(), 7);
  for (std::int64_t t = 1; t <= 5; ++t) {
    const double snr = std::exp(9.0 - 3.0 * static_cast<double>(t - 1));
    EXPECT_NEAR(schedule.signal(t), std::sqrt(snr / (1.0 + snr)), 1e-14) << t;
    EXPECT_NEAR(schedule.sigma(t), std::sqrt(1.0 / (1.0 + snr)), 1e-14) << t;
    EXPECT_NEAR(schedule.log_snr(t), std::log(snr), 1e-9) << t;
  }
  config.steps = 1;
  EXPECT_NEAR(NoiseSchedule(config).log_snr(1), 9.0, 1e-9);
}

TEST(Schedule, WeightsOfLevelsAreThoseOfTheTrapezoidalRule) {
  for (const ScheduleKind kind : test::all_kinds<ScheduleKind>()) {
    const NoiseSchedule schedule = schedule_of(kind, 10);
    const std::int64_t last = schedule.reference_level() - 1;
    double integral = 0.0;
    for (std::int64_t t = 1; t < last; ++t) {  // of the level's number over the log-SNR
      integral += (schedule.log_snr(t) - schedule.log_snr(t + 1)) * (static_cast<double>(t) + 0.5);
    }
    const at::Tensor weights = schedule.log_snr_weights();
    double sum = 0.0;
    for (std::int64_t t = 0; t < schedule.levels(); ++t) {
      sum += weights[t].item<double>() * static_cast<double>(t);
    }
    EXPECT_NEAR(sum, integral, 1e-10) << name_of(kind);
    EXPECT_EQ(weights[0].item<double>(), 0.0);
    EXPECT_EQ(weights[-1].item<double>(), 0.0);
  }
  EXPECT_EQ(schedule_of(ScheduleKind::linear, 0).log_snr_weights().sum().item<double>(), 0.0);
}

TEST(Schedule, FlowMatchingGoesStraightAndHasOneLevelLess) {
  const NoiseSchedule schedule = schedule_of(ScheduleKind::flow_matching, 10);
  EXPECT_EQ(schedule.levels(), 11);
  EXPECT_EQ(schedule.reference_level(), 10);
  EXPECT_NEAR(schedule.signal(3), 0.7, 1e-15);
  EXPECT_NEAR(schedule.sigma(3), 0.3, 1e-15);
}

TEST(Schedule, OfTwoLevelsHasNothingBetweenDataAndNoise) {
  EXPECT_EQ(schedule_of(ScheduleKind::linear, 0).levels(), 2);
  EXPECT_EQ(schedule_of(ScheduleKind::cosine, 0).levels(), 2);
  EXPECT_EQ(schedule_of(ScheduleKind::uniform, 0).levels(), 2);
  EXPECT_EQ(schedule_of(ScheduleKind::log_snr, 0).levels(), 2);
  EXPECT_EQ(schedule_of(ScheduleKind::flow_matching, 1).levels(), 2);
}

TEST(Schedule, RefusesLevelsWithoutImageOrNoise) {
  const auto refusal = [](std::int64_t T, double beta_start, double beta_end) {
    DiffusionConfig config = RunConfig().diffusion;
    config.steps = T;
    config.beta_start = beta_start;
    config.beta_end = beta_end;
    return test::user_error([&] { NoiseSchedule schedule(config); });
  };
  EXPECT_THAT(refusal(10, 0.0, 0.02), AllOf(HasSubstr("diffusion.beta_start = 0,"),
                                            HasSubstr("level 1 "), HasSubstr("no more noise")));
  EXPECT_THAT(refusal(10, 1e-20, 0.02), HasSubstr("no more noise"));  // 1 - beta is 1
  EXPECT_THAT(refusal(10, 0.1, 0.0), AllOf(HasSubstr("level 10 "), HasSubstr("no more noise")));
  EXPECT_THAT(refusal(10, 0.1, 1.0), AllOf(HasSubstr("diffusion.beta_end = 1:"),
                                           HasSubstr("level 10 "), HasSubstr("no image")));
  EXPECT_THAT(refusal(1000, 0.9, 0.9), HasSubstr("no image"));  // the product is 0 in the end
  EXPECT_EQ(refusal(10, 1e-6, 0.999), "no UserError");
}

TEST(Schedule, RefusesLogSnrsThatAreTooClose) {
  DiffusionConfig config = RunConfig().diffusion;
  config.schedule = ScheduleKind::log_snr;
  config.steps = 10000;
  config.log_snr_max = 30.0;
  config.log_snr_min = 29.0;
  EXPECT_THAT(test::user_error([&] { NoiseSchedule schedule(config); }),
              AllOf(HasSubstr("diffusion.log_snr_max = 30, diffusion.log_snr_min = 29"),
                    HasSubstr("no more noise")));
}

class EverySchedule : public testing::TestWithParam<ScheduleKind> {};

TEST_P(EverySchedule, GoesFromDataToAStandardNormal) {
  const NoiseSchedule schedule = schedule_of(GetParam(), 100);
  const std::int64_t last = schedule.reference_level();
  EXPECT_EQ(last, schedule.levels() - 1);
  EXPECT_EQ(schedule.signal(0), 1.0);
  EXPECT_EQ(schedule.sigma(0), 0.0);
  EXPECT_EQ(schedule.signal(last), 0.0);
  EXPECT_EQ(schedule.sigma(last), 1.0);
  for (std::int64_t t = 1; t <= last; ++t) {
    EXPECT_LT(schedule.signal(t), schedule.signal(t - 1)) << t;
    EXPECT_GT(schedule.sigma(t), schedule.sigma(t - 1)) << t;
  }
  EXPECT_THROW(schedule.signal(last + 1), c10::Error);
  EXPECT_THROW(schedule.sigma(-1), c10::Error);
  // Denoising needs some image left.
  EXPECT_EQ(schedule.denoising_level(3), 3);
  EXPECT_EQ(schedule.denoising_level(last), last - 1);
}

TEST_P(EverySchedule, AddsTheNoiseOfEachImagesLevel) {
  NoiseSchedule schedule = schedule_of(GetParam(), 100);
  const at::Tensor x0 = test::numbers(1, {3, 1, 2, 2});
  const at::Tensor noise = test::numbers(2, {3, 1, 2, 2});
  const std::int64_t last = schedule.reference_level();
  const at::Tensor t = at::tensor(at::ArrayRef<std::int64_t>({0, 50, last}), at::kLong);
  const at::Tensor x_t = schedule.add_noise(x0, t, noise);
  EXPECT_TRUE(at::equal(x_t[0], x0[0]));
  EXPECT_TRUE(at::equal(x_t[2], noise[2]));
  test::expect_close(x_t[1], schedule.signal(50) * x0[1] + schedule.sigma(50) * noise[1], 1e-14,
                     "x_50");
  schedule.to(at::kFloat);
  test::expect_close(schedule.add_noise(x0.to(at::kFloat), t, noise.to(at::kFloat)), x_t, 1e-6,
                     "in float32");
}

INSTANTIATE_TEST_SUITE_P(Kinds, EverySchedule, testing::ValuesIn(test::all_kinds<ScheduleKind>()),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace cdm
