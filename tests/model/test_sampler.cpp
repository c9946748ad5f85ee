// SPDX-License-Identifier: MIT
// What holds for all samplers: levels, random numbers, what the context offers, what traits say.
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <memory>
#include <numbers>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/sample/sample.h"
#include "gaussian_model.h"
#include "messages.h"
#include "support.h"

namespace cdm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SamplingLevels, FollowTheirSpacing) {
  EXPECT_THAT(sampling_levels(100, 4, Spacing::leading), ElementsAre(76, 51, 26, 1));
  EXPECT_THAT(sampling_levels(100, 3, Spacing::leading), ElementsAre(67, 34, 1));
  EXPECT_THAT(sampling_levels(100, 4, Spacing::trailing), ElementsAre(100, 75, 50, 25));
  EXPECT_THAT(sampling_levels(100, 4, Spacing::linspace), ElementsAre(100, 67, 34, 1));
  EXPECT_THAT(sampling_levels(3, 3, Spacing::leading), ElementsAre(3, 2, 1));
  EXPECT_THAT(sampling_levels(3, 3, Spacing::trailing), ElementsAre(3, 2, 1));
  EXPECT_THAT(sampling_levels(9, 1, Spacing::linspace), ElementsAre(9));
}

TEST(SamplingLevels, SpreadOverAllLevelsForAnyNumberOfSteps) {
  for (const Spacing spacing : test::all_kinds<Spacing>()) {
    for (const std::int64_t T : {7, 99, 200}) {
      for (std::int64_t count = 2; count <= T; ++count) {
        SCOPED_TRACE(testing::Message() << name_of(spacing) << ", " << count << " of " << T);
        const std::vector<std::int64_t> levels = sampling_levels(T, count, spacing);
        const std::int64_t most =
            (T + count - 1) / (count - (spacing == Spacing::linspace ? 1 : 0));
        EXPECT_GE(levels.front(), T - most);
        EXPECT_LE(levels.back(), 1 + most);
        for (std::size_t i = 1; i < levels.size(); ++i) {
          EXPECT_GT(levels[i - 1], levels[i]);
          EXPECT_LE(levels[i - 1] - levels[i], most);
        }
      }
    }
  }
}

TEST(SamplingLevels, RefuseMoreStepsThanLevels) {
  EXPECT_THROW(sampling_levels(100, 101, Spacing::leading), UserError);
  EXPECT_THROW(sampling_levels(100, 0, Spacing::leading), UserError);
}

TEST(WarningOfStart, NamesTheLevelAndTheRemedy) {
  const auto warning = [](std::int64_t T, double beta_end, std::int64_t steps, Spacing spacing) {
    RunConfig config;
    config.diffusion.steps = T;
    config.diffusion.beta_end = beta_end;
    config.sample.steps = steps;
    config.sample.spacing = spacing;
    return warning_of_start(NoiseSchedule(config.diffusion), config.sample);
  };
  EXPECT_EQ(warning(1000, 0.02, 50, Spacing::leading), "");
  EXPECT_EQ(warning(1000, 0.02, 1, Spacing::trailing), "");
  EXPECT_THAT(warning(1000, 0.02, 2, Spacing::leading), test::mentions("501 of 1000", "trailing"));
  // 100 of a thousand steps' betas leave most of the image.
  EXPECT_THAT(warning(100, 0.02, 100, Spacing::trailing), test::mentions("100 of 100", "beta_end"));
}

SampleConfig config_of(SamplerKind sampler, std::int64_t steps, double eta = 0.0) {
  SampleConfig config = RunConfig().sample;
  config.sampler = sampler;
  config.steps = steps;
  config.eta = eta;
  return config;
}

/// Images are N(0, I): every level is N(0, I) too, F = 0, and the best noise prediction is
/// sqrt(1 - abar_t) x_t.
Model standard_normal_model() {
  return test::gaussian_model(Prediction::logits, test::schedule_of(ScheduleKind::linear, 50),
                              {0.0}, 1.0);
}

/// The levels that a sampler goes through, 0 included, as abar.
std::vector<double> alpha_bars(const Model& model, const SampleConfig& config) {
  std::vector<double> out;
  for (const std::int64_t t : sampling_levels(50, config.steps, config.spacing)) {
    out.push_back(std::pow(model.schedule().signal(t), 2));
  }
  out.push_back(1.0);
  return out;
}

class StandardNormalData : public testing::TestWithParam<std::int64_t> {};

TEST_P(StandardNormalData, DdimFollowsItsClosedForm) {
  const Model model = standard_normal_model();
  const at::Tensor x_T = start_noise(3, 0, at::zeros({5, 1, 8, 8}, at::kDouble));
  const SampleConfig config = config_of(SamplerKind::ddim, GetParam());
  // x_s = (sqrt(abar_s abar_t) + sqrt((1 - abar_s) (1 - abar_t))) x_t
  double scale = 1.0;
  const std::vector<double> abar = alpha_bars(model, config);
  for (std::size_t i = 0; i + 1 < abar.size(); ++i) {
    const double t = abar[i];
    const double s = abar[i + 1];
    scale *= std::sqrt(s * t) + std::sqrt((1 - s) * (1 - t));
  }
  test::expect_close(sample(model, config, x_T, {}, {}), scale * x_T, 1e-12, "x_0");
}

TEST_P(StandardNormalData, DdpmHasTheVarianceOfItsRecursion) {
  const Model model = standard_normal_model();
  const at::Tensor x_T = start_noise(3, 0, at::zeros({400, 1, 8, 8}, at::kDouble));
  const SampleConfig config = config_of(SamplerKind::ddpm, GetParam());
  // The mean of x_s is sqrt(alpha) x_t, with alpha = abar_t / abar_s of the interval; beta_tilde is
  // added to its variance.
  double variance = 1.0;
  const std::vector<double> abar = alpha_bars(model, config);
  for (std::size_t i = 0; i + 1 < abar.size(); ++i) {
    const double alpha = abar[i] / abar[i + 1];
    const double beta_tilde = (1.0 - alpha) * (1.0 - abar[i + 1]) / (1.0 - abar[i]);
    variance = alpha * variance + beta_tilde;
  }
  const at::Tensor x0 = sample(model, config, x_T, {}, {.seed = 3});
  const double error_of_four_sigma = 4.0 * variance * std::sqrt(2.0 / (400.0 * 64.0));
  EXPECT_NEAR(x0.mean().item<double>(), 0.0, 4.0 / std::sqrt(400.0 * 64.0));
  EXPECT_NEAR(x0.var().item<double>(), variance, error_of_four_sigma);
}

INSTANTIATE_TEST_SUITE_P(Steps, StandardNormalData, testing::Values(50, 10));

/// A model of narrow data, predicted by the logits or by the noise.
Model narrow_model(Prediction predicts) {
  return test::gaussian_model(predicts, test::schedule_of(ScheduleKind::cosine, 100), {0.3}, 0.4);
}

/// A sampler made of a function, which returns the images at the next level.
class Probe final : public Sampler {
 public:
  using Step = std::function<at::Tensor(const at::Tensor& x, const SampleContext& context)>;
  explicit Probe(Step step, SamplerTraits traits = {}) : step_(std::move(step)), traits_(traits) {}

  SamplerTraits traits() const override { return traits_; }
  Transition step(const at::Tensor& x, const SampleContext& context) override {
    return {x, step_(x, context)};
  }

 private:
  Step step_;
  SamplerTraits traits_;
};

TEST(Sampler, AnImageDoesNotDependOnItsBatch) {
  const Model model = narrow_model(Prediction::logits);
  for (const SamplerKind kind : test::all_kinds<SamplerKind>()) {
    const auto run = [&](std::int64_t first, std::int64_t count) {
      const at::Tensor like = at::zeros({count, 1, 2, 2}, at::kDouble);
      return sample(model, config_of(kind, 5, 0.5), start_noise(1, first, like), {}, {1, first});
    };
    const at::Tensor whole = run(0, 5);
    test::expect_close(run(3, 2), whole.narrow(0, 3, 2), 1e-12, name_of(kind));
    EXPECT_GT(test::relative_error(run(0, 2), whole.narrow(0, 3, 2)), 0.1) << name_of(kind);
  }
}

TEST(Sampler, AsksForOneDrawAStepAndReportsEach) {
  const Model model = narrow_model(Prediction::logits);
  const at::Tensor x_T = test::numbers(1, {1, 1, 2, 2});
  std::vector<std::int64_t> asked;
  std::vector<std::int64_t> done;
  SampleDraws draws;
  draws.noise = [&](std::int64_t step) {
    asked.push_back(step);
    return at::zeros_like(x_T);
  };
  sample(model, config_of(SamplerKind::ddpm, 5), x_T, {}, draws,
         [&](const SampleStep& step) { done.push_back(step.done); });
  EXPECT_THAT(asked, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(done, ElementsAre(1, 2, 3, 4, 5));
}

// Two steps, as far as a multistep method needs to differ from euler.
TEST(Sampler, NoKindIsAnotherOne) {
  const Model model = narrow_model(Prediction::logits);
  const auto two_steps = [&](SamplerKind kind, double eta) {
    std::vector<at::Tensor> x;
    sample(model, config_of(kind, 5, eta), test::numbers(1, {2, 1, 2, 2}), {}, {},
           [&](const SampleStep& step) { x.push_back(step.x); });
    return x.at(1);
  };
  for (const SamplerKind a : test::all_kinds<SamplerKind>()) {
    for (const SamplerKind b : test::all_kinds<SamplerKind>()) {
      if (a == b) continue;
      EXPECT_GT(test::relative_error(two_steps(a, 0.5), two_steps(b, 0.5)), 1e-4)
          << name_of(a) << " and " << name_of(b);
    }
  }
  EXPECT_TRUE(at::equal(two_steps(SamplerKind::euler, 0.5), two_steps(SamplerKind::ddim, 0.0)));
}

// By what a run asks for, counted here.
TEST(Sampler, TraitsSayWhatARunAsksFor) {
  const at::Tensor x_T = test::numbers(1, {2, 1, 2, 2});
  for (const SamplerKind kind : test::all_kinds<SamplerKind>()) {
    for (const double eta : {0.0, 0.5}) {
      SCOPED_TRACE(name_of(kind));
      const SampleConfig config = config_of(kind, 7, eta);
      const SamplerTraits traits = make_sampler(config)->traits();
      const Model model =
          narrow_model(traits.needs_density ? Prediction::logits : Prediction::noise);
      bool asked_for_noise = false;
      SampleDraws draws;
      draws.noise = [&](std::int64_t) {
        asked_for_noise = true;
        return at::zeros_like(x_T);
      };
      std::int64_t evaluations = 0;
      sample(model, config, x_T, {}, draws,
             [&](const SampleStep& step) { evaluations = step.evaluations; });
      EXPECT_EQ(asked_for_noise, traits.draws_noise);
      EXPECT_EQ(evaluations, evaluations_per_image(config));
    }
  }
}

TEST(Sampler, EvaluationsOfARun) {
  EXPECT_EQ(evaluations_per_image(config_of(SamplerKind::ddpm, 10)), 10);
  EXPECT_EQ(evaluations_per_image(config_of(SamplerKind::dpm_solver_2, 10)), 10);
  EXPECT_EQ(evaluations_per_image(config_of(SamplerKind::heun, 10)), 19);
  EXPECT_EQ(evaluations_per_image(config_of(SamplerKind::heun, 1)), 1);
}

TEST(Sampler, RefusesLevelsThatAreNotThere) {
  const SampleConfig config = config_of(SamplerKind::ddim, 50);
  EXPECT_NO_THROW(
      check_sampling(test::schedule_of(ScheduleKind::cosine, 50), Prediction::logits, config));
  EXPECT_THROW(
      check_sampling(test::schedule_of(ScheduleKind::cosine, 49), Prediction::logits, config),
      UserError);
  EXPECT_THROW(check_sampling(test::schedule_of(ScheduleKind::flow_matching, 1), Prediction::logits,
                              config_of(SamplerKind::ddim, 1)),
               UserError);
}

TEST(Sampler, ThatNeedsADensityIsRefusedWithoutOne) {
  const at::Tensor x_T = test::numbers(1, {2, 1, 2, 2});
  const SampleConfig config = config_of(SamplerKind::ddim, 2);
  std::int64_t steps = 0;
  Probe probe(
      [&](const at::Tensor& x, const SampleContext&) {
        ++steps;
        return x;
      },
      {.needs_density = true});
  try {
    sample(narrow_model(Prediction::noise), probe, config, x_T, {}, {});
    ADD_FAILURE() << "not refused";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("density"));
    EXPECT_THAT(error.what(), HasSubstr("model.predicts = noise"));
  }
  EXPECT_EQ(steps, 0);
  sample(narrow_model(Prediction::logits), probe, config, x_T, {}, {});
  EXPECT_EQ(steps, 2);
}

/// What `draw` gives in each step of a run of `count` images from number `first` on.
std::vector<at::Tensor> drawn(const SampleDraws& draws, std::int64_t count,
                              const std::function<at::Tensor(const SampleContext&)>& draw) {
  std::vector<at::Tensor> all;
  Probe probe([&](const at::Tensor& x, const SampleContext& context) {
    all.push_back(draw(context));
    return x;
  });
  sample(narrow_model(Prediction::noise), probe, config_of(SamplerKind::ddim, 2),
         at::zeros({count, 1, 2, 2}, at::kDouble), {}, draws);
  return all;
}

TEST(SampleContext, DrawsDependOnSeedImageStepAndName) {
  const auto normal_named = [](const char* name) {
    return [name](const SampleContext& context) { return context.normal(name); };
  };
  const auto uniform_named = [](const char* name) {
    return [name](const SampleContext& context) { return context.uniform(name); };
  };
  const auto expect = [](const auto& named) {
    const std::vector<at::Tensor> whole = drawn({7}, 5, named("a"));
    const std::vector<at::Tensor> part = drawn({7, 3}, 2, named("a"));
    for (std::size_t step = 0; step < 2; ++step) {
      EXPECT_TRUE(at::equal(part[step], whole[step].narrow(0, 3, 2)));
      EXPECT_FALSE(at::equal(drawn({7}, 5, named("b"))[step], whole[step]));
      EXPECT_FALSE(at::equal(drawn({8}, 5, named("a"))[step], whole[step]));
    }
    EXPECT_FALSE(at::equal(whole[0], whole[1]));
    EXPECT_FALSE(at::equal(whole[0].narrow(0, 0, 2), whole[0].narrow(0, 3, 2)));
  };
  expect(normal_named);
  expect(uniform_named);
}

TEST(SampleContext, DrawsHaveTheirDistribution) {
  constexpr std::int64_t kImages = 4000;
  const at::Tensor z =
      drawn({7}, kImages, [](const SampleContext& context) { return context.normal("a"); })[0];
  const at::Tensor u =
      drawn({7}, kImages, [](const SampleContext& context) { return context.uniform("a"); })[0];
  EXPECT_EQ(z.sizes(), (at::IntArrayRef{kImages, 1, 2, 2}));
  EXPECT_NEAR(z.mean().item<double>(), 0.0, 4.0 / std::sqrt(4.0 * kImages));
  EXPECT_NEAR(z.var().item<double>(), 1.0, 4.0 * std::sqrt(2.0 / (4.0 * kImages)));
  EXPECT_EQ(u.sizes(), (at::IntArrayRef{kImages}));
  EXPECT_EQ(u.scalar_type(), at::kDouble);
  EXPECT_NEAR(u.mean().item<double>(), 0.5, 4.0 / std::sqrt(12.0 * kImages));
  EXPECT_NEAR(u.var().item<double>(), 1.0 / 12.0, 0.01);
  // Normal and uniform numbers of one name come from different random words: with the same ones,
  // the squares of the normal numbers would be large where u is small.
  const at::Tensor square = z.select(3, 0).select(2, 0).select(1, 0).square();
  const at::Tensor product = (square - square.mean()) * (u - u.mean());
  const double correlation = (product.mean() / (square.std() * u.std())).item<double>();
  EXPECT_NEAR(correlation, 0.0, 4.0 / std::sqrt(static_cast<double>(kImages)));
}

// The authors' samples were compared with these numbers.
TEST(SampleContext, NoiseIsTheStreamOfSampleSteps) {
  const std::vector<at::Tensor> noise =
      drawn({7, 3}, 2, [](const SampleContext& context) { return context.normal("noise"); });
  for (std::uint64_t step = 0; step < 2; ++step) {
    EXPECT_TRUE(at::equal(
        noise[step], normal({7, Purpose::sample_step, step}, {2, 1, 2, 2}, test::real64(), 3)));
  }
}

TEST(SampleContext, GivenNoiseReplacesTheDrawOfThatNameOnly) {
  SampleDraws given = {7};
  given.noise = [](std::int64_t step) {
    return at::full({2, 1, 2, 2}, static_cast<double>(step) + 0.5, at::kDouble);
  };
  const auto noise = [](const SampleContext& context) { return context.normal("noise"); };
  const auto other = [](const SampleContext& context) { return context.normal("other"); };
  const auto uniform = [](const SampleContext& context) { return context.uniform("noise"); };
  EXPECT_TRUE(at::equal(drawn(given, 2, noise)[1], at::full({2, 1, 2, 2}, 1.5, at::kDouble)));
  EXPECT_TRUE(at::equal(drawn(given, 2, other)[1], drawn({7}, 2, other)[1]));
  EXPECT_TRUE(at::equal(drawn(given, 2, uniform)[1], drawn({7}, 2, uniform)[1]));
}

TEST(SampleContext, TellsLevelsAndSteps) {
  const Model model = narrow_model(Prediction::noise);
  std::vector<std::int64_t> from, to, step;
  Probe probe([&](const at::Tensor& x, const SampleContext& context) {
    from.push_back(context.from.t);
    to.push_back(context.to.t);
    step.push_back(context.step);
    EXPECT_EQ(context.steps, 4);
    EXPECT_EQ(context.from.signal, model.schedule().signal(context.from.t));
    EXPECT_EQ(context.to.sigma, model.schedule().sigma(context.to.t));
    EXPECT_NEAR(context.from.lambda(), std::log(context.from.signal) - std::log(context.from.sigma),
                1e-12);
    return x;
  });
  sample(model, probe, config_of(SamplerKind::ddim, 4), test::numbers(1, {1, 1, 2, 2}), {}, {});
  EXPECT_THAT(from, ElementsAre(76, 51, 26, 1));
  EXPECT_THAT(to, ElementsAre(51, 26, 1, 0));
  EXPECT_THAT(step, ElementsAre(0, 1, 2, 3));
}

/// Means of two classes and of the null class.
const std::vector<double> kMeans = {-0.5, 0.8, 0.1};

// (1 + w) log p(x | y) - w log p(x), by the densities of the Gaussians themselves.
TEST(SampleContext, ItsDensityIsTheGuidedOneThatDenoiseFollows) {
  const NoiseSchedule schedule = test::schedule_of(ScheduleKind::cosine, 100);
  const auto network =
      std::make_shared<test::GaussianNetwork>(Prediction::logits, schedule, kMeans, 0.4);
  const Model model(network, schedule);
  const at::Tensor labels = at::tensor({0, 1, 1}, at::kLong);
  SampleConfig config = config_of(SamplerKind::ddim, 3);
  config.guidance = 2.0;
  std::int64_t checked = 0;
  Probe probe([&](const at::Tensor& x, const SampleContext& context) {
    for (const Level& level : {context.from, context.to}) {
      const at::Tensor t = at::full({3}, level.t, at::kLong);
      const auto residual = [&](const at::Tensor& classes) {
        return x - network->mean(t, classes).reshape({3, 1, 1, 1});
      };
      const at::Tensor variance = network->variance(t);
      const at::Tensor of_class = residual(labels);
      const at::Tensor of_null = residual(at::full({3}, 2, at::kLong));
      const at::Tensor square =
          (3.0 * of_class.square() - 2.0 * of_null.square()).flatten(1).sum(1);
      const at::Tensor log_prob =
          -0.5 * square / variance - 2.0 * (2.0 * std::numbers::pi * variance).log();
      const at::Tensor score = -(3.0 * of_class - 2.0 * of_null) / variance.reshape({3, 1, 1, 1});
      test::expect_close(context.log_prob(x, level), log_prob, 1e-10, "log_prob");
      const LogProbAndScore both = context.log_prob_and_score(x, level);
      test::expect_close(both.log_prob, log_prob, 1e-10, "log_prob with its score");
      test::expect_close(both.score, score, 1e-10, "score");
      if (level.t == 0) continue;
      const Denoised denoised = context.denoise(x, level);
      test::expect_close(denoised.eps, -level.sigma * score, 1e-10, "eps");
      test::expect_close(level.signal * denoised.x0 + level.sigma * denoised.eps, x, 1e-12, "x");
      ++checked;
    }
    return x;
  });
  sample(model, probe, config, test::numbers(1, {3, 1, 2, 2}), labels, {});
  EXPECT_EQ(checked, 5);
}

TEST(SampleContext, CountsEvaluations) {
  std::vector<std::int64_t> counted;
  Probe probe([](const at::Tensor& x, const SampleContext& context) {
    context.denoise(x, context.from);
    if (context.step == 0) context.log_prob(x, context.to);
    context.log_prob_and_score(x, context.to);
    return x;
  });
  sample(narrow_model(Prediction::logits), probe, config_of(SamplerKind::ddim, 2),
         test::numbers(1, {1, 1, 2, 2}), {}, {},
         [&](const SampleStep& step) { counted.push_back(step.evaluations); });
  EXPECT_THAT(counted, ElementsAre(3, 5));
}

}  // namespace
}  // namespace cdm
