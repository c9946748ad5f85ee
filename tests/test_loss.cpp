// SPDX-License-Identifier: MIT
// The losses beside the paper's own: its ancestors, and that of the plain denoiser.
#include <ATen/ops/equal.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "cdm/diffusion/loss.h"
#include "cdm/model/ddm_unet.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;

at::Tensor levels_of(std::vector<std::int64_t> t) { return at::tensor(t, at::kLong); }

LossConfig loss_of(ObjectiveKind kind) {
  LossConfig config = RunConfig().loss;
  config.kind = kind;
  config.ce_weight = 0.5;
  return config;
}

NoisePredictor small_ddm(const RunConfig& config) {
  const NoiseSchedule schedule(config.diffusion);
  const std::shared_ptr<Network> network = make_network(config.model, {1, 8, schedule.levels()}, 7);
  network->to(at::kCPU, at::kDouble);
  return {std::dynamic_pointer_cast<NoiseNetwork>(network), schedule};
}

RunConfig ddm_config(std::int64_t classes = 0) {
  RunConfig config = test::small_config(20, classes);
  config.model.predicts = Prediction::noise;
  return config;
}

std::set<std::int64_t> drawn(const RunConfig& config) {
  const at::Tensor t = draw_levels(NoiseSchedule(config.diffusion), config.model, config.loss,
                                   {1, Purpose::level}, 2000);
  const auto* const values = t.const_data_ptr<std::int64_t>();
  return {values, values + t.numel()};
}

TEST(Levels, AreThoseThatTheLossNeeds) {
  RunConfig config = test::small_config(3);
  EXPECT_EQ(drawn(config), (std::set<std::int64_t>{0, 1, 2, 3, 4}));
  config.loss.kind = ObjectiveKind::tre;
  EXPECT_EQ(drawn(config), (std::set<std::int64_t>{0, 1, 2, 3, 4}));
  config.loss.kind = ObjectiveKind::nce;
  EXPECT_EQ(drawn(config), (std::set<std::int64_t>{0, 4}));
  config.loss.kind = ObjectiveKind::cdm;
  config.model.predicts = Prediction::noise;
  EXPECT_EQ(drawn(config), (std::set<std::int64_t>{1, 2, 3}));
  config.diffusion.schedule = ScheduleKind::flow_matching;
  EXPECT_EQ(drawn(config), (std::set<std::int64_t>{1, 2}));
}

TEST(Nce, IsTheCrossEntropyOfTwoLevels) {
  const Classifier two_levels = test::small_classifier(test::small_config(0));
  const at::Tensor x0 = numbers(1, {4, 1, 8, 8});
  const at::Tensor noise = numbers(2, {4, 1, 8, 8});
  LossConfig ce_only = loss_of(ObjectiveKind::cdm);
  ce_only.mse_weight = 0.0;
  const at::Tensor t = levels_of({0, 1, 1, 0});
  const LossTerms cdm = training_loss(two_levels, ce_only, x0, t, noise);
  const LossTerms nce = training_loss(two_levels, loss_of(ObjectiveKind::nce), x0, t, noise);
  test::expect_close(nce.total, cdm.total, 1e-12, "total");
  test::expect_close(nce.ce, cdm.ce, 1e-12, "ce");
  EXPECT_EQ(nce.accuracy.item<float>(), cdm.accuracy.item<float>());
}

TEST(Nce, LooksAtTheTwoEndsOnly) {
  const Classifier classifier = test::small_classifier(test::small_config(20));
  const at::Tensor x0 = numbers(1, {2, 1, 8, 8});
  const at::Tensor noise = numbers(2, {2, 1, 8, 8});
  const LossTerms nce =
      training_loss(classifier, loss_of(ObjectiveKind::nce), x0, levels_of({0, 21}), noise);
  // An image is data with probability sigmoid(f[0] - f[T+1]).
  const at::Tensor of_data = classifier.logits(x0.narrow(0, 0, 1))[0];
  const at::Tensor of_noise = classifier.logits(noise.narrow(0, 1, 1))[0];
  const double wrong_data = (of_data[21] - of_data[0]).item<double>();
  const double wrong_noise = (of_noise[0] - of_noise[21]).item<double>();
  EXPECT_NEAR(nce.ce.item<double>(),
              0.5 * (std::log1p(std::exp(wrong_data)) + std::log1p(std::exp(wrong_noise))), 1e-12);
  EXPECT_NEAR(nce.accuracy.item<double>(), 0.5 * ((wrong_data < 0) + (wrong_noise < 0)), 1e-6);
}

TEST(Tre, IsTheMeanOfTheBridgesLogisticLosses) {
  constexpr std::int64_t kLevels = 7;
  const Classifier classifier = test::small_classifier(test::small_config(kLevels - 2));
  const at::Tensor x0 = numbers(1, {kLevels, 1, 8, 8});
  const at::Tensor noise = numbers(2, {kLevels, 1, 8, 8});
  const at::Tensor t = levels_of({0, 1, 2, 3, 4, 5, 6});  // each once: the expectation itself
  const LossTerms tre = training_loss(classifier, loss_of(ObjectiveKind::tre), x0, t, noise);

  const at::Tensor f = classifier.logits(classifier.schedule().add_noise(x0, t, noise));
  const auto logit = [&](std::int64_t image, std::int64_t level) {
    return f[image][level].item<double>();
  };
  double loss = 0.0;
  double right = 0.0;
  for (std::int64_t k = 0; k + 1 < kLevels; ++k) {  // bridge k: is it level k, or k+1?
    const double of_lower = logit(k, k) - logit(k, k + 1);
    const double of_upper = logit(k + 1, k) - logit(k + 1, k + 1);
    loss += 0.5 * (std::log1p(std::exp(-of_lower)) + std::log1p(std::exp(of_upper)));
    right += 0.5 * ((of_lower > 0) + (of_upper < 0));
  }
  EXPECT_NEAR(tre.ce.item<double>(), loss / (kLevels - 1), 1e-12);
  EXPECT_NEAR(tre.total.item<double>(), 0.5 * loss / (kLevels - 1), 1e-12);
  EXPECT_NEAR(tre.accuracy.item<double>(), right / (kLevels - 1), 1e-6);
}

TEST(TimeEmbedding, IsTheOneOfHo) {
  const at::Tensor e = time_embedding(levels_of({0, 7}), 4, test::real64());
  const double slow = 7.0 / 10000.0;
  const std::vector<double> expected = {std::sin(7.0), std::sin(slow), std::cos(7.0),
                                        std::cos(slow)};
  test::expect_close(e[0], at::tensor(std::vector<double>{0, 0, 1, 1}), 1e-15, "level 0");
  test::expect_close(e[1], at::tensor(expected), 1e-14, "level 7");
  EXPECT_EQ(time_embedding(levels_of({1}), 5, test::real64()).sizes(), at::IntArrayRef({1, 5}));
}

TEST(Ddm, MinimisesTheErrorOfTheNoise) {
  const NoisePredictor model = small_ddm(ddm_config());
  const at::Tensor x0 = numbers(1, {3, 1, 8, 8});
  const at::Tensor noise = numbers(2, {3, 1, 8, 8});
  const at::Tensor t = levels_of({1, 10, 20});
  LossConfig config = loss_of(ObjectiveKind::cdm);
  config.mse_weight = 2.0;
  const LossTerms terms = training_loss(model, config, x0, t, noise);
  const at::Tensor x_t = model.schedule().add_noise(x0, t, noise);
  const at::Tensor predicted = model.predict_noise(x_t, t);
  EXPECT_EQ(predicted.sizes(), x0.sizes());
  test::expect_close(terms.mse, at::mse_loss(predicted, noise), 1e-12, "mse");
  test::expect_close(terms.total, 2.0 * terms.mse, 1e-12, "total");
  EXPECT_EQ(terms.ce.item<double>(), 0.0);
}

TEST(Ddm, HasADerivativeByEveryParameter) {
  const NoisePredictor model = small_ddm(ddm_config(3));
  const at::Tensor x0 = numbers(1, {2, 1, 8, 8});
  const at::Tensor noise = numbers(2, {2, 1, 8, 8});
  const at::Tensor t = levels_of({3, 15});
  const at::Tensor labels = levels_of({0, 3});
  const auto loss = [&] {
    return training_loss(model, loss_of(ObjectiveKind::cdm), x0, t, noise, labels).total;
  };
  model.network().set_requires_grad(true);
  for (const auto& [name, weight] : model.network().parameters()) {
    const at::Tensor gradient = torch::autograd::grad({loss()}, {weight})[0];
    const at::Tensor direction = numbers(9, weight.sizes());
    const double slope = test::directional_difference(
        [&, w = weight](const at::Tensor& value) {
          const c10::NoGradGuard no_grad;
          const at::Tensor before = w.clone();
          w.copy_(value);
          const double at_value = loss().item<double>();
          w.copy_(before);
          return at_value;
        },
        weight.detach(), direction);
    EXPECT_NEAR((gradient * direction).sum().item<double>(), slope,
                1e-6 * std::max(1.0, std::abs(slope)))
        << name;
  }
}

TEST(Ddm, KnowsTheTimeAndTheClass) {
  const NoisePredictor model = small_ddm(ddm_config(3));
  const at::Tensor x = numbers(1, {1, 1, 8, 8});
  const at::Tensor eps = model.predict_noise(x, levels_of({5}), levels_of({1}));
  EXPECT_GT(test::relative_error(model.predict_noise(x, levels_of({15}), levels_of({1})), eps),
            1e-3);
  EXPECT_GT(test::relative_error(model.predict_noise(x, levels_of({5}), levels_of({2})), eps),
            1e-3);
  const at::Tensor none = model.predict_noise(x, levels_of({5}));
  EXPECT_TRUE(at::equal(none, model.predict_noise(x, levels_of({5}), levels_of({3}))));
  test::expect_close(model.predict_noise(x, levels_of({5}), levels_of({1}), 2.0),
                     3.0 * eps - 2.0 * none, 1e-12, "guidance");
  EXPECT_EQ(model.as_classifier(), nullptr);
}

}  // namespace
}  // namespace cdm
