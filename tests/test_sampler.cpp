// SPDX-License-Identifier: MIT
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>

#include <cmath>

#include "cdm/error.h"
#include "cdm/sample/sampler.h"
#include "support.h"

namespace cdm {
namespace {

using testing::ElementsAre;

TEST(SamplingLevels, FollowTheirSpacing) {
  EXPECT_THAT(sampling_levels(100, 4, "leading"), ElementsAre(76, 51, 26, 1));
  EXPECT_THAT(sampling_levels(100, 3, "leading"), ElementsAre(67, 34, 1));
  EXPECT_THAT(sampling_levels(100, 4, "trailing"), ElementsAre(100, 75, 50, 25));
  EXPECT_THAT(sampling_levels(100, 4, "linspace"), ElementsAre(100, 67, 34, 1));
  EXPECT_THAT(sampling_levels(3, 3, "leading"), ElementsAre(3, 2, 1));
  EXPECT_THAT(sampling_levels(3, 3, "trailing"), ElementsAre(3, 2, 1));
  EXPECT_THAT(sampling_levels(9, 1, "linspace"), ElementsAre(9));
}

TEST(SamplingLevels, RefuseWhatIsNotLegal) {
  EXPECT_THROW(sampling_levels(100, 101, "leading"), UserError);
  EXPECT_THROW(sampling_levels(100, 0, "leading"), UserError);
  EXPECT_THROW(sampling_levels(100, 10, "logarithmic"), UserError);
}

/// Images are N(0, I): every level is N(0, I) too, F = 0, and the best noise prediction is
/// sqrt(1 - abar_t) x_t. All weights zero give just this classifier.
Classifier standard_normal_classifier() {
  Classifier classifier = test::small_classifier(test::small_config(50));
  for (const auto& [name, parameter] : classifier.network().parameters()) parameter.zero_();
  return classifier;
}

TEST(Sampler, KeepsAStandardNormalWhereTheDataAreStandardNormal) {
  const Classifier classifier = standard_normal_classifier();
  const at::Tensor x_T = start_noise(3, 0, at::zeros({2000, 1, 8, 8}, at::kDouble));
  SampleConfig config = RunConfig().sample;
  config.steps = 50;
  // One DDPM step keeps variance 1 exactly: abar-weighted x0 estimate, x_t and noise add up.
  for (const char* sampler : {"ddim", "ddpm"}) {
    config.sampler = sampler;
    for (const std::int64_t steps : {50, 10}) {
      config.steps = steps;
      const at::Tensor x0 = sample(classifier, config, x_T, {}, step_noise(3, 0, x_T));
      EXPECT_NEAR(x0.mean().item<double>(), 0.0, 0.02) << sampler << steps;
      if (config.sampler == "ddpm") {
        // The last step returns a prediction: variance abar_1 instead of 1.
        EXPECT_NEAR(x0.var().item<double>(), classifier.schedule().alpha_bar(1), 0.02) << steps;
      } else {
        // x_s = (sqrt(abar_s abar_t) + sqrt((1-abar_s)(1-abar_t))) x_t, in closed form.
        double scale = 1.0;
        const auto levels = sampling_levels(50, steps, "leading");
        for (std::size_t i = 0; i < levels.size(); ++i) {
          const double t = classifier.schedule().alpha_bar(levels[i]);
          const double s =
              i + 1 < levels.size() ? classifier.schedule().alpha_bar(levels[i + 1]) : 1.0;
          scale *= std::sqrt(s * t) + std::sqrt((1 - s) * (1 - t));
        }
        test::expect_close(x0, scale * x_T, 1e-12, "ddim in closed form");
      }
    }
  }
}

TEST(Sampler, AnImageDoesNotDependOnItsBatch) {
  const Classifier classifier = test::small_classifier(test::small_config(10));
  SampleConfig config = RunConfig().sample;
  config.sampler = "ddpm";
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
  config.sampler = "ddpm";
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
      [&](std::int64_t step) { done.push_back(step); });
  EXPECT_THAT(asked, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(done, ElementsAre(1, 2, 3, 4, 5));
}

TEST(Sampler, RefusesAnUnknownName) {
  const Classifier classifier = test::small_classifier(test::small_config(10));
  SampleConfig config = RunConfig().sample;
  config.sampler = "magic";
  EXPECT_THROW(sample(classifier, config, test::numbers(1, {1, 1, 8, 8}), {}, {}), UserError);
}

}  // namespace
}  // namespace cdm
