// SPDX-License-Identifier: MIT
// The density of a model: exact where the exact answer is known, the paper's identities elsewhere,
// and first derivatives against finite differences.
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/diffusion/model.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;

at::Tensor levels_of(std::initializer_list<std::int64_t> t) {
  return at::tensor(at::ArrayRef<std::int64_t>(t), at::kLong);
}

/// The exact classifier of N(mean, width^2 I) of one class or two: its logits are log p_t(x) plus a
/// number that is the same for all levels, which no density may depend on.
class GaussianNetwork final : public Network {
 public:
  GaussianNetwork(const NoiseSchedule& schedule, std::int64_t num_classes)
      : Network(Prediction::logits, {1, 2, schedule.levels()}, num_classes), schedule_(schedule) {}
  at::TensorOptions options() const override { return test::real64(); }

  static constexpr double kWidth = 0.4;
  /// Of class 0, class 1, and of the null class.
  static double mean(std::int64_t label) { return label == 0 ? 0.5 : label == 1 ? -0.7 : 0.1; }

  /// log p_t(x) of one class, [B].
  at::Tensor exact(const at::Tensor& x, std::int64_t t, std::int64_t label) const {
    const double variance =
        std::pow(schedule_.signal(t) * kWidth, 2) + std::pow(schedule_.sigma(t), 2);
    const at::Tensor away = x.flatten(1) - schedule_.signal(t) * mean(label);
    return away.square().sum(1).mul(-0.5 / variance) -
           0.5 * 4.0 * std::log(2.0 * std::numbers::pi * variance);
  }

 private:
  at::Tensor forward(const at::Tensor& x, const at::Tensor& /*t*/, const Condition& given,
                     DropoutMasks* /*masks*/) const override {
    std::vector<at::Tensor> rows;
    for (std::int64_t row = 0; row < x.size(0); ++row) {
      const std::int64_t label =
          given.labels.defined() ? given.labels[row].item<std::int64_t>() : 0;
      std::vector<at::Tensor> levels;
      for (std::int64_t t = 0; t < schedule_.levels(); ++t) {
        levels.push_back(exact(x.narrow(0, row, 1), t, label)[0]);
      }
      rows.push_back(at::stack(levels) + 17.0);
    }
    return at::stack(rows);
  }

  NoiseSchedule schedule_;
};

struct Exact {
  explicit Exact(std::int64_t num_classes = 0)
      : schedule(test::small_config(9).diffusion),
        network(std::make_shared<GaussianNetwork>(schedule, num_classes)),
        model(network, schedule) {}

  NoiseSchedule schedule;
  std::shared_ptr<GaussianNetwork> network;
  Model model;
  at::Tensor x = numbers(1, {3, 1, 2, 2});
};

TEST(Density, IsExactForAnExactClassifier) {
  const Exact exact;
  const at::Tensor all = exact.model.density().log_prob_all_levels(exact.x);
  ASSERT_EQ(all.scalar_type(), at::kDouble);
  for (std::int64_t t = 0; t < exact.schedule.levels(); ++t) {
    const at::Tensor expected = exact.network->exact(exact.x, t, 0);
    const at::Tensor levels = at::full({3}, t, at::kLong);
    test::expect_close(exact.model.density().log_prob(exact.x, levels), expected, 1e-12, "log p");
    test::expect_close(all.select(1, t), expected, 1e-12, "log p of all levels");
    const auto [log_prob, score] = exact.model.density().log_prob_and_score(exact.x, levels);
    test::expect_close(log_prob, expected, 1e-12, "log p beside its gradient");
    const double signal = exact.schedule.signal(t);
    const double variance =
        std::pow(signal * GaussianNetwork::kWidth, 2) + std::pow(exact.schedule.sigma(t), 2);
    test::expect_close(score, (signal * GaussianNetwork::mean(0) - exact.x) / variance, 1e-12,
                       "score");
  }
}

TEST(Density, OfAGuidedModelIsTheOneThatItsSamplerFollows) {
  const Exact exact(2);
  const at::Tensor labels = levels_of({0, 1, 1});
  const at::Tensor t = levels_of({0, 4, 9});
  constexpr double kGuidance = 1.5;
  const Density& density = exact.model.density();
  std::vector<at::Tensor> expected;
  for (std::int64_t row = 0; row < 3; ++row) {
    const at::Tensor one = exact.x.narrow(0, row, 1);
    const auto level = t[row].item<std::int64_t>();
    expected.push_back(
        (1.0 + kGuidance) * exact.network->exact(one, level, labels[row].item<std::int64_t>())[0] -
        kGuidance * exact.network->exact(one, level, exact.network->null_class())[0]);
  }
  const at::Tensor log_prob = density.log_prob(exact.x, t, labels, kGuidance);
  test::expect_close(log_prob, at::stack(expected), 1e-12, "guided log p");
  test::expect_close(
      density.log_prob_all_levels(exact.x, labels, kGuidance).gather(1, t.unsqueeze(1)).squeeze(1),
      log_prob, 1e-12, "of all levels");
  const auto [beside, score] = density.log_prob_and_score(exact.x, t, labels, kGuidance);
  test::expect_close(beside, log_prob, 1e-12, "beside its gradient");
  for (std::uint64_t direction = 10; direction < 13; ++direction) {
    const at::Tensor v = numbers(direction, exact.x.sizes());
    const auto sum = [&](const at::Tensor& x) {
      return density.log_prob(x, t, labels, kGuidance).sum().item<double>();
    };
    EXPECT_NEAR((score * v).sum().item<double>(), test::directional_difference(sum, exact.x, v),
                1e-6);
  }
  // Theorem 3.1, guided: eps = -sigma score.
  test::expect_close(exact.model.predict_noise(exact.x, t, labels, kGuidance),
                     -exact.schedule.sigma(t, exact.x) * score, 1e-12, "noise");
}

TEST(Density, WithoutLabelsIsThatOfTheNullClass) {
  const Exact exact(2);
  const at::Tensor t = levels_of({1, 2, 3});
  const at::Tensor null = at::full({3}, exact.network->null_class(), at::kLong);
  const Density& density = exact.model.density();
  EXPECT_TRUE(at::equal(density.log_prob(exact.x, t), density.log_prob(exact.x, t, null)));
  EXPECT_TRUE(at::equal(density.log_prob(exact.x, t, {}, 2.0), density.log_prob(exact.x, t)))
      << "there is nothing to guide to";
}

TEST(Density, CostsOneForwardPassAndTwoWithItsGradient) {
  struct CountingEvaluator final : RowEvaluator {
    Tensors operator()(Question question, const RowFunction& function,
                       const Tensors& inputs) const override {
      asked.push_back(question);
      rows += inputs[0].size(0);
      return function(inputs);
    }
    mutable std::vector<Question> asked;
    mutable std::int64_t rows = 0;
  };
  const Exact exact(2);
  const auto counting = std::make_shared<CountingEvaluator>();
  const Model model = exact.model.with_evaluator(counting);
  const at::Tensor t = levels_of({1, 2, 3});
  const at::Tensor labels = levels_of({0, 1, 0});
  model.density().log_prob(exact.x, t, labels);
  model.density().log_prob_all_levels(exact.x, labels);
  model.density().log_prob_and_score(exact.x, t, labels);
  EXPECT_THAT(counting->asked, testing::ElementsAre(Question::logits, Question::logits,
                                                    Question::log_ratio_gradient));
  EXPECT_EQ(counting->rows, 9);
  model.density().log_prob_and_score(exact.x, t, labels, 1.0);
  EXPECT_EQ(counting->rows, 15) << "guidance asks for twice as many rows, once";
}

TEST(Density, FollowsTheLogits) {
  const Model model = test::small_model(test::small_config());
  const at::Tensor x = numbers(3, {2, 1, 8, 8});
  const at::Tensor f = model.network()(x, {}, {});
  const at::Tensor all = model.density().log_prob_all_levels(x);
  test::expect_close(all.select(1, 21), standard_normal_log_density(x), 1e-14, "log p_{T+1}");
  test::expect_close(all.select(1, 4) - all.select(1, 9), f.select(1, 4) - f.select(1, 9), 1e-10,
                     "log p_4 - log p_9");
  const at::Tensor posterior = model.density().log_posterior(x).exp();
  test::expect_close(posterior.sum(1), at::full({2}, 1.0, at::kDouble), 1e-12, "posterior");
  test::expect_close((posterior.select(1, 4) / posterior.select(1, 9)).log(),
                     f.select(1, 4) - f.select(1, 9), 1e-9, "p(4 | x) / p(9 | x)");
  const double expected =
      -0.5 * x[0].square().sum().item<double>() - 32.0 * std::log(2.0 * std::numbers::pi);
  EXPECT_NEAR(standard_normal_log_density(x)[0].item<double>(), expected, 1e-9);
}

TEST(Density, IsFloat64ForAFloat32Network) {
  const RunConfig config = test::small_config();
  const Model model = test::small_model(config, 1, 8, at::kFloat);
  const at::Tensor x = numbers(3, {2, 1, 8, 8}, at::kFloat);
  const at::Tensor t = levels_of({4, 9});
  EXPECT_EQ(model.density().log_prob(x, t).scalar_type(), at::kDouble);
  EXPECT_EQ(model.density().log_posterior(x).scalar_type(), at::kDouble);
  const auto [log_prob, score] = model.density().log_prob_and_score(x, t);
  EXPECT_EQ(log_prob.scalar_type(), at::kDouble);
  EXPECT_EQ(score.scalar_type(), at::kFloat);
}

TEST(Density, ScoreIsTheGradientOfTheLogDensity) {
  const Model model = test::small_model(test::small_config());
  const at::Tensor x = numbers(4, {1, 1, 8, 8});
  const at::Tensor t = levels_of({7});
  const at::Tensor score = model.density().log_prob_and_score(x, t).score;
  for (std::uint64_t direction = 10; direction < 13; ++direction) {
    const at::Tensor v = numbers(direction, {1, 1, 8, 8});
    const auto log_prob = [&](const at::Tensor& y) {
      return model.density().log_prob(y, t).item<double>();
    };
    EXPECT_NEAR((score * v).sum().item<double>(), test::directional_difference(log_prob, x, v),
                1e-6);
  }
  test::expect_close(model.predict_noise(x, t), -model.schedule().sigma(7) * score, 1e-12,
                     "Tweedie");
}

TEST(Model, GuidanceExtrapolatesFromTheNullClass) {
  for (const Prediction predicts : {Prediction::logits, Prediction::noise}) {
    SCOPED_TRACE(name_of(predicts));
    RunConfig config = test::small_config(20, 3);
    config.model.predicts = predicts;
    const Model model = test::small_model(config);
    const at::Tensor x = numbers(5, {2, 1, 8, 8});
    const at::Tensor t = levels_of({3, 18});
    const at::Tensor labels = levels_of({0, 2});
    const at::Tensor conditional = model.predict_noise(x, t, labels);
    const at::Tensor unconditional = model.predict_noise(x, t, levels_of({3, 3}));
    EXPECT_TRUE(at::equal(model.predict_noise(x, t), unconditional));
    EXPECT_GT(test::relative_error(conditional, unconditional), 1e-6);
    test::expect_close(model.predict_noise(x, t, labels, 0.5),
                       1.5 * conditional - 0.5 * unconditional, 1e-10, "guidance");
  }
}

TEST(Model, APlainDenoiserHasNoDensity) {
  RunConfig config = test::small_config();
  config.model.predicts = Prediction::noise;
  const Model model = test::small_model(config);
  EXPECT_FALSE(model.has_density());
  EXPECT_THROW(model.density(), UserError);
  EXPECT_TRUE(test::small_model(test::small_config()).has_density());
}

}  // namespace
}  // namespace cdm
