// SPDX-License-Identifier: MIT
// The likelihood that a denoiser proves, on Gaussian data, where it is known.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/eval/denoiser_bound.h"
#include "cdm/eval/nll.h"
#include "gaussian_model.h"
#include "messages.h"
#include "support.h"

namespace cdm {
namespace {

constexpr double kMean = 0.4;
constexpr double kWidth = 0.3;
constexpr std::int64_t kSteps = 1000;

/// Images [N, 1, 2, 2] of N(kMean, kWidth^2 I), in the model's scale.
at::Tensor gaussian_images(std::int64_t count) {
  return test::numbers(3, {count, 1, 2, 2}) * kWidth + kMean;
}

Model exact_model(Prediction predicts, ScheduleKind schedule) {
  return test::gaussian_model(predicts, test::schedule_of(schedule, kSteps), {kMean}, kWidth);
}

struct Case {
  ScheduleKind schedule;
  Prediction predicts;
};

class BoundOfADenoiser : public testing::TestWithParam<Case> {};

TEST_P(BoundOfADenoiser, ThatIsBestIsTheLogLikelihood) {
  const auto [schedule, predicts] = GetParam();
  const at::Tensor images = gaussian_images(5'000);
  BoundOptions options;
  options.levels = 4;
  options.batch_size = 5'000;
  const DenoiserBound bound = denoiser_bound(exact_model(predicts, schedule), options, images, {});
  const at::Tensor log_prob =
      score_images(exact_model(Prediction::logits, schedule), {}, images, {}).log_prob;
  const MeanEstimate gap = estimate_mean_by_place(bound.log_prob - log_prob, bound.place);
  EXPECT_LT(gap.standard_error, 0.07);
  EXPECT_NEAR(gap.mean, 0.0, 3.0 * gap.standard_error);
}

TEST_P(BoundOfADenoiser, ThatIsWorseIsSmaller) {
  const auto [schedule, predicts] = GetParam();
  const at::Tensor images = gaussian_images(4'000);
  const Model worse =
      test::gaussian_model(predicts, test::schedule_of(schedule, kSteps), {kMean}, 2.0 * kWidth);
  const DenoiserBound best = denoiser_bound(exact_model(predicts, schedule), {}, images, {});
  const MeanEstimate loss = estimate_mean_by_place(
      best.log_prob - denoiser_bound(worse, {}, images, {}).log_prob, best.place);
  // Whoever takes N(m, s^2) for N(m, 4 s^2) loses the divergence between the two, in each
  // dimension.
  const double divergence = 4.0 * (std::log(2.0) + 0.125 - 0.5);
  EXPECT_NEAR(loss.mean, divergence, 3.0 * loss.standard_error);
  EXPECT_LT(loss.standard_error, 0.1 * divergence);
}

INSTANTIATE_TEST_SUITE_P(Schedules, BoundOfADenoiser,
                         testing::Values(Case{ScheduleKind::linear, Prediction::logits},
                                         Case{ScheduleKind::linear, Prediction::noise},
                                         Case{ScheduleKind::cosine, Prediction::logits},
                                         Case{ScheduleKind::uniform, Prediction::logits},
                                         Case{ScheduleKind::flow_matching, Prediction::noise}),
                         [](const auto& info) {
                           return concat(name_of(info.param.schedule), "_",
                                         name_of(info.param.predicts));
                         });

/// The exact logits, but for a constant that is added to that of level 0.
class Boastful final : public Network {
 public:
  explicit Boastful(const NoiseSchedule& schedule)
      : Network(Prediction::logits, {1, 2, schedule.levels()}, 0),
        honest_(Prediction::logits, schedule, {kMean}, kWidth) {}
  at::TensorOptions options() const override { return honest_.options(); }

 protected:
  at::Tensor forward(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                     DropoutMasks* masks) const override {
    const at::Tensor f = honest_(x, t, given, masks);
    at::Tensor constant = at::zeros({f.size(1)}, f.options());
    constant[0] = 5.0;
    return f + constant;
  }

 private:
  test::GaussianNetwork honest_;
};

TEST(BoundBesideADensity, StaysWhereADensityThatIsNotNormalisedClaimsMore) {
  const NoiseSchedule schedule = test::schedule_of(ScheduleKind::uniform, kSteps);
  const Model model(std::make_shared<Boastful>(schedule), schedule);
  const Model honest = exact_model(Prediction::logits, ScheduleKind::uniform);
  const at::Tensor images = gaussian_images(500);
  const at::Tensor claimed = score_images(model, {}, images, {}).log_prob;
  const DenoiserBound bound = denoiser_bound(model, {}, images, {});
  test::expect_close(bound.log_prob, denoiser_bound(honest, {}, images, {}).log_prob, 1e-12,
                     "bound");
  const MeanEstimate gap = estimate_mean_by_place(claimed - bound.log_prob, bound.place);
  EXPECT_NEAR(gap.mean, 5.0, 3.0 * gap.standard_error);
  EXPECT_LT(gap.standard_error, 1.0);
}

TEST(BoundBesideADensity, DoesNotDependOnTheBatchSizeAndTellsItsProgress) {
  const Model model = exact_model(Prediction::logits, ScheduleKind::linear);
  const at::Tensor images = gaussian_images(7);
  BoundOptions options;
  options.levels = 3;
  const at::Tensor whole = denoiser_bound(model, options, images, {}).log_prob;
  options.batch_size = 3;
  std::vector<std::int64_t> done;
  const at::Tensor pieces = denoiser_bound(model, options, images, {}, [&](std::int64_t count) {
                              done.push_back(count);
                            }).log_prob;
  test::expect_close(pieces, whole, 1e-13, "bound");
  EXPECT_THAT(done, testing::ElementsAre(3, 6, 7));
  options.seed = 1;
  EXPECT_FALSE(at::equal(denoiser_bound(model, options, images, {}).log_prob, pieces));
  EXPECT_EQ(denoiser_bound(model, options, images.narrow(0, 0, 0), {}).log_prob.size(0), 0);
}

TEST(BoundBesideADensity, HoldsWithoutALevelThatHasImageAndNoise) {
  const NoiseSchedule schedule = test::schedule_of(ScheduleKind::flow_matching, 1);
  ASSERT_EQ(schedule.levels(), 2);
  EXPECT_FALSE(has_levels_to_denoise(schedule));
  EXPECT_TRUE(has_levels_to_denoise(test::schedule_of(ScheduleKind::flow_matching, 2)));
  const Model model = test::gaussian_model(Prediction::logits, schedule, {kMean}, kWidth);
  const at::Tensor images = gaussian_images(500);
  const double bound = denoiser_bound(model, {}, images, {}).log_prob.mean().item<double>();
  const double truth = score_images(model, {}, images, {}).log_prob.mean().item<double>();
  EXPECT_LT(bound, truth);
  EXPECT_GT(bound, truth - 10.0);
}

TEST(EstimateMeanByPlace, CountsNoErrorForWhatDependsOnThePlace) {
  const std::int64_t count = 1'000;
  const at::Tensor place = (at::arange(count, at::kDouble) * 0.618).remainder(1.0);
  const MeanEstimate line = estimate_mean_by_place(100.0 * place, place);
  EXPECT_LT(line.standard_error, 0.01);
  EXPECT_GT(estimate_mean(100.0 * place).standard_error, 0.5);
  const at::Tensor noise = test::numbers(4, {count});
  EXPECT_NEAR(estimate_mean_by_place(100.0 * place + noise, place).standard_error,
              1.0 / std::sqrt(1'000.0), 0.004);
  EXPECT_TRUE(std::isnan(
      estimate_mean_by_place(place.narrow(0, 0, 1), place.narrow(0, 0, 1)).standard_error));
}

TEST(WarningOfGap, SaysWhatAGapMeansOnceItIsCertain) {
  EXPECT_EQ(warning_of_gap(interval_95(0.0, 0.01)), "");
  EXPECT_EQ(warning_of_gap(interval_95(0.09, 0.001)), "");
  EXPECT_EQ(warning_of_gap(interval_95(-0.05, 0.1)), "");
  EXPECT_EQ(warning_of_gap(interval_95(0.2, 0.1)), "");
  EXPECT_THAT(warning_of_gap(interval_95(-0.25, 0.1)), test::mentions("0.2500", "not normalised"));
  EXPECT_THAT(warning_of_gap(interval_95(0.4, 0.1)), test::mentions("0.4000", "not yet learnt"));
  EXPECT_EQ(warning_of_gap(interval_95(-1.0, std::nan(""))), "");  // a single image
}

}  // namespace
}  // namespace cdm
