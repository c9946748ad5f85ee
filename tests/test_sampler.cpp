// SPDX-License-Identifier: MIT
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>

#include <cmath>

#include "cdm/core/error.h"
#include "cdm/sample/sampler.h"
#include "support.h"

namespace cdm {
namespace {

using testing::ElementsAre;

TEST(SamplingLevels, FollowTheirSpacing) {
  EXPECT_THAT(sampling_levels(100, 4, Spacing::leading), ElementsAre(76, 51, 26, 1));
  EXPECT_THAT(sampling_levels(100, 3, Spacing::leading), ElementsAre(67, 34, 1));
  EXPECT_THAT(sampling_levels(100, 4, Spacing::trailing), ElementsAre(100, 75, 50, 25));
  EXPECT_THAT(sampling_levels(100, 4, Spacing::linspace), ElementsAre(100, 67, 34, 1));
  EXPECT_THAT(sampling_levels(3, 3, Spacing::leading), ElementsAre(3, 2, 1));
  EXPECT_THAT(sampling_levels(3, 3, Spacing::trailing), ElementsAre(3, 2, 1));
  EXPECT_THAT(sampling_levels(9, 1, Spacing::linspace), ElementsAre(9));
}

TEST(SamplingLevels, RefuseWhatIsNotLegal) {
  EXPECT_THROW(sampling_levels(100, 101, Spacing::leading), UserError);
  EXPECT_THROW(sampling_levels(100, 0, Spacing::leading), UserError);
}

/// Images are N(0, I): every level is N(0, I) too, F = 0, and the best noise prediction is
/// sqrt(1 - abar_t) x_t. All weights zero give just this classifier.
Classifier standard_normal_classifier() {
  Classifier classifier = test::small_classifier(test::small_config(50));
  for (const auto& [name, parameter] : classifier.network().parameters()) parameter.zero_();
  return classifier;
}

/// The levels that a sampler goes through, 0 included, as abar.
std::vector<double> alpha_bars(const Classifier& classifier, const SampleConfig& config) {
  std::vector<double> out;
  for (const std::int64_t t : sampling_levels(50, config.steps, config.spacing)) {
    out.push_back(std::pow(classifier.schedule().signal(t), 2));
  }
  out.push_back(1.0);
  return out;
}

class StandardNormalData : public testing::TestWithParam<std::int64_t> {};

TEST_P(StandardNormalData, DdimFollowsItsClosedForm) {
  const Classifier classifier = standard_normal_classifier();
  const at::Tensor x_T = start_noise(3, 0, at::zeros({5, 1, 8, 8}, at::kDouble));
  SampleConfig config = RunConfig().sample;
  config.sampler = SamplerKind::ddim;
  config.steps = GetParam();
  // x_s = (sqrt(abar_s abar_t) + sqrt((1 - abar_s) (1 - abar_t))) x_t
  double scale = 1.0;
  const std::vector<double> abar = alpha_bars(classifier, config);
  for (std::size_t i = 0; i + 1 < abar.size(); ++i) {
    const double t = abar[i];
    const double s = abar[i + 1];
    scale *= std::sqrt(s * t) + std::sqrt((1 - s) * (1 - t));
  }
  test::expect_close(sample(classifier, config, x_T, {}, {}), scale * x_T, 1e-12, "x_0");
}

TEST_P(StandardNormalData, DdpmHasTheVarianceOfItsRecursion) {
  const Classifier classifier = standard_normal_classifier();
  const at::Tensor x_T = start_noise(3, 0, at::zeros({400, 1, 8, 8}, at::kDouble));
  SampleConfig config = RunConfig().sample;
  config.sampler = SamplerKind::ddpm;
  config.steps = GetParam();
  // The mean of x_s is sqrt(alpha) x_t, with alpha = abar_t / abar_s of the interval; beta_tilde is
  // added to its variance.
  double variance = 1.0;
  const std::vector<double> abar = alpha_bars(classifier, config);
  for (std::size_t i = 0; i + 1 < abar.size(); ++i) {
    const double alpha = abar[i] / abar[i + 1];
    const double beta_tilde = (1.0 - alpha) * (1.0 - abar[i + 1]) / (1.0 - abar[i]);
    variance = alpha * variance + beta_tilde;
  }
  const at::Tensor x0 = sample(classifier, config, x_T, {}, step_noise(3, 0, x_T));
  const double error_of_four_sigma = 4.0 * variance * std::sqrt(2.0 / (400.0 * 64.0));
  EXPECT_NEAR(x0.mean().item<double>(), 0.0, 4.0 / std::sqrt(400.0 * 64.0));
  EXPECT_NEAR(x0.var().item<double>(), variance, error_of_four_sigma);
}

INSTANTIATE_TEST_SUITE_P(Steps, StandardNormalData, testing::Values(50, 10));

TEST(Sampler, AnImageDoesNotDependOnItsBatch) {
  const Classifier classifier = test::small_classifier(test::small_config(10));
  SampleConfig config = RunConfig().sample;
  config.sampler = SamplerKind::ddpm;
  config.steps = 5;
  const auto run = [&](std::int64_t first, std::int64_t count) {
    const at::Tensor like = at::zeros({count, 1, 8, 8}, at::kDouble);
    return sample(classifier, config, start_noise(1, first, like), {}, step_noise(1, first, like));
  };
  const at::Tensor whole = run(0, 5);
  test::expect_close(run(3, 2), whole.narrow(0, 3, 2), 1e-12, "images 3 and 4");
  EXPECT_GT(test::relative_error(run(0, 2), whole.narrow(0, 3, 2)), 0.1);
}

TEST(Sampler, AsksForOneDrawAStepAndReportsEach) {
  const Classifier classifier = test::small_classifier(test::small_config(10));
  SampleConfig config = RunConfig().sample;
  config.sampler = SamplerKind::ddpm;
  config.steps = 5;
  const at::Tensor x_T = test::numbers(1, {1, 1, 8, 8});
  std::vector<std::int64_t> asked;
  std::vector<std::int64_t> done;
  sample(
      classifier, config, x_T, {},
      [&](std::int64_t step) {
        asked.push_back(step);
        return at::zeros_like(x_T);
      },
      [&](const SampleStep& step) { done.push_back(step.done); });
  EXPECT_THAT(asked, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(done, ElementsAre(1, 2, 3, 4, 5));
}

}  // namespace
}  // namespace cdm
