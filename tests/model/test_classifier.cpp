// SPDX-License-Identifier: MIT
// The classifier's identities, and first and second derivatives against finite differences.
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <numbers>

#include "cdm/diffusion/classifier.h"
#include "cdm/diffusion/loss.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;

at::Tensor levels_of(std::initializer_list<std::int64_t> t) {
  return at::tensor(at::ArrayRef<std::int64_t>(t), at::kLong);
}

TEST(UNet, WidthOfTheHeadCanBeSet) {
  RunConfig config = test::small_config();
  for (const std::int64_t given : {0, 5, 24}) {
    config.model.head_channels = given;
    const Classifier classifier = test::small_classifier(config);
    const std::int64_t expected = given == 0 ? 2 * config.model.channels : given;
    for (const auto& [name, tensor] : classifier.network().parameters()) {
      if (name.starts_with("conv_out.")) {
        EXPECT_EQ(tensor.size(0), expected);
      } else if (name == "linear_layer.weight") {
        EXPECT_EQ(tensor.size(1), expected);
      }
    }
    EXPECT_EQ(classifier.logits(numbers(3, {2, 1, 8, 8})).sizes(), at::IntArrayRef({2, 22}));
  }
}

TEST(Classifier, DensitiesFollowTheLogits) {
  const RunConfig config = test::small_config();
  const Classifier classifier = test::small_classifier(config);
  const at::Tensor x = numbers(3, {2, 1, 8, 8});
  const at::Tensor f = classifier.logits(x);
  const at::Tensor all = classifier.log_prob_all_levels(x);
  test::expect_close(all.select(1, 21), standard_normal_log_density(x), 1e-14, "log p_{T+1}");
  test::expect_close(all.select(1, 4) - all.select(1, 9), f.select(1, 4) - f.select(1, 9), 1e-10,
                     "log p_4 - log p_9");
  const at::Tensor t = levels_of({4, 9});
  test::expect_close(classifier.log_prob(x, t), all.gather(1, t.unsqueeze(1)).squeeze(1), 1e-14,
                     "log_prob");
  test::expect_close(classifier.level_posterior(x).sum(1), at::full({2}, 1.0, at::kDouble), 1e-12,
                     "posterior");
  const double expected =
      -0.5 * x[0].square().sum().item<double>() - 32.0 * std::log(2.0 * std::numbers::pi);
  EXPECT_NEAR(standard_normal_log_density(x)[0].item<double>(), expected, 1e-9);
}

TEST(Classifier, ScoreIsTheGradientOfTheLogDensity) {
  const Classifier classifier = test::small_classifier(test::small_config());
  const at::Tensor x = numbers(4, {1, 1, 8, 8});
  const at::Tensor t = levels_of({7});
  const at::Tensor score = classifier.score(x, t);
  for (std::uint64_t direction = 10; direction < 13; ++direction) {
    const at::Tensor v = numbers(direction, {1, 1, 8, 8});
    const auto log_prob = [&](const at::Tensor& y) {
      return classifier.log_prob(y, t).item<double>();
    };
    EXPECT_NEAR((score * v).sum().item<double>(), test::directional_difference(log_prob, x, v),
                1e-6);
  }
  const double sigma = classifier.schedule().sigma(7);
  test::expect_close(classifier.predict_noise(x, t), -sigma * score, 1e-12, "Tweedie");
}

TEST(Classifier, GuidanceExtrapolatesFromTheNullClass) {
  const Classifier classifier = test::small_classifier(test::small_config(20, 3));
  const at::Tensor x = numbers(5, {2, 1, 8, 8});
  const at::Tensor t = levels_of({3, 18});
  const at::Tensor labels = levels_of({0, 2});
  const at::Tensor conditional = classifier.predict_noise(x, t, labels);
  const at::Tensor unconditional = classifier.predict_noise(x, t, levels_of({3, 3}));
  test::expect_close(classifier.predict_noise(x, t), unconditional, 1e-12, "no labels");
  EXPECT_GT(test::relative_error(conditional, unconditional), 1e-6);
  test::expect_close(classifier.predict_noise(x, t, labels, 0.5),
                     1.5 * conditional - 0.5 * unconditional, 1e-10, "guidance");
}

// The gradient of the loss with respect to parameters holds second derivatives of the network:
// compare it with differences of the loss, whose value holds first derivatives only, which in turn
// ScoreIsTheGradientOfTheLogDensity has compared with differences of the logits.
class LossGradient : public testing::TestWithParam<std::int64_t> {};

TEST_P(LossGradient, AgreesWithFiniteDifferences) {
  const RunConfig config = test::small_config(20, GetParam());
  const Classifier classifier = test::small_classifier(config);
  const at::Tensor x0 = numbers(6, {3, 1, 8, 8});
  const at::Tensor noise = numbers(7, {3, 1, 8, 8});
  const at::Tensor t = levels_of({0, 10, 19});
  const at::Tensor labels = GetParam() > 0 ? levels_of({0, 1, 2}) : at::Tensor();
  LossConfig weights = config.loss;
  weights.ce_weight = 0.1;
  const auto loss = [&] { return training_loss(classifier, weights, x0, t, noise, labels).total; };

  const NamedTensors& parameters = classifier.network().parameters();
  classifier.network().set_requires_grad(true);
  std::vector<at::Tensor> values;
  for (const auto& [name, parameter] : parameters) values.push_back(parameter);
  const std::vector<at::Tensor> gradients = torch::autograd::grad({loss()}, values);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& parameter = parameters[i].second;
    const at::Tensor direction = numbers(8, parameter.sizes());
    const at::Tensor value = parameter.detach().clone();
    const auto set_value = [&](const at::Tensor& moved) {
      const c10::NoGradGuard no_grad;
      parameter.copy_(moved);
    };
    const auto loss_at = [&](const at::Tensor& moved) {
      set_value(moved);
      return loss().item<double>();
    };
    const double difference = test::directional_difference(loss_at, value, direction, 1e-5);
    set_value(value);
    const double expected = (gradients[i] * direction).sum().item<double>();
    EXPECT_NEAR(difference, expected, 1e-6 * std::max(1.0, std::abs(expected)))
        << parameters[i].first;
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, LossGradient, testing::Values(0, 3));

TEST(Loss, LeavesOutTheDenoiserWhereItsWeightIsZero) {
  const RunConfig config = test::small_config();
  const Classifier classifier = test::small_classifier(config);
  classifier.network().set_requires_grad(true);
  LossConfig ce_only = config.loss;
  ce_only.mse_weight = 0.0;
  const at::Tensor x0 = numbers(9, {2, 1, 8, 8});
  const LossTerms terms = training_loss(classifier, ce_only, x0, levels_of({1, 20}), x0);
  EXPECT_EQ(terms.mse.item<double>(), 0.0);
  EXPECT_DOUBLE_EQ(terms.total.item<double>(), ce_only.ce_weight * terms.ce.item<double>());
}

}  // namespace
}  // namespace cdm
