// SPDX-License-Identifier: MIT
// Objectives: their formulas, their derivatives, and the contract that all of them keep.
#include <ATen/ops/equal.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <vector>

#include "cdm/diffusion/objective.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;
using test::term;
using test::training_rows;

at::Tensor levels_of(std::vector<std::int64_t> t) { return at::tensor(t, at::kLong); }

/// A configuration whose network predicts what the objective needs.
RunConfig config_of(ObjectiveKind kind, std::int64_t T = 20, std::int64_t classes = 0) {
  RunConfig config = test::small_config(T, classes);
  config.loss.kind = kind;
  config.loss.ce_weight = 0.5;
  config.model.predicts = prediction_for(kind);
  return config;
}

Loss loss_of(const RunConfig& config, const Model& model, const TrainingRows& rows) {
  return make_objective(config.loss)->loss(model, rows, nullptr);
}

// ---- the contract ----

class AnyObjective : public testing::TestWithParam<ObjectiveKind> {
 protected:
  RunConfig config_ = config_of(GetParam(), 20, 3);
  std::unique_ptr<Objective> objective_ = make_objective(config_.loss);
  Model model_ = test::small_model(config_);

  /// Rows `first` .. of a batch of six.
  StepInputs rows(std::int64_t first, std::int64_t count) const {
    const at::Tensor x0 = numbers(1, {6, 1, 8, 8}).narrow(0, first, count);
    const at::Tensor labels = levels_of({0, 1, 2, 0, 1, 2}).narrow(0, first, count);
    return draw_inputs(config_, *objective_, model_.schedule(), /*step=*/3, x0, labels, first, 6);
  }
  static StepInputs in_order(const StepInputs& rows, const std::vector<std::int64_t>& order) {
    StepInputs out = rows;
    const at::Tensor index = levels_of(order);
    out.x0 = rows.x0.index_select(0, index);
    out.labels = rows.labels.index_select(0, index);
    for (auto& [name, drawn] : out.drawn) drawn = drawn.index_select(0, index);
    return out;
  }
  /// The loss, then its terms.
  std::vector<double> values(const StepInputs& rows) const {
    const Loss loss = objective_->loss(model_, rows, nullptr);
    std::vector<double> all = {loss.total.item<double>()};
    for (const auto& [name, value] : loss.terms) all.push_back(value.item<double>());
    return all;
  }
};

TEST_P(AnyObjective, IsAMeanOverIndependentRows) {
  const std::vector<double> whole = values(rows(0, 6));
  const std::vector<double> permuted = values(in_order(rows(0, 6), {4, 0, 5, 2, 1, 3}));
  const std::vector<double> a = values(rows(0, 2));
  const std::vector<double> b = values(rows(2, 4));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const std::string name = i == 0 ? "loss" : objective_->terms()[i - 1];
    const double tolerance = name == "accuracy" ? 1e-6 : 1e-12 * std::abs(whole[i]) + 1e-14;
    EXPECT_NEAR(permuted[i], whole[i], tolerance) << name;
    EXPECT_NEAR((2.0 * a[i] + 4.0 * b[i]) / 6.0, whole[i], tolerance) << name;
  }
}

TEST_P(AnyObjective, DrawsForARowWhateverTheBatchItIsIn) {
  const StepInputs whole = rows(0, 6);
  const StepInputs part = rows(2, 3);
  ASSERT_EQ(part.drawn.size(), whole.drawn.size());
  for (const auto& [name, drawn] : whole.drawn) {
    EXPECT_TRUE(at::equal(part[name], drawn.narrow(0, 2, 3))) << name;
  }
  EXPECT_TRUE(at::equal(part.labels, whole.labels.narrow(0, 2, 3)));
}

TEST_P(AnyObjective, ReportsTheTermsThatItNames) {
  const Loss loss = objective_->loss(model_, rows(0, 6), nullptr);
  std::vector<std::string> names;
  for (const auto& [name, value] : loss.terms) {
    names.push_back(name);
    EXPECT_FALSE(value.requires_grad()) << name;
    EXPECT_EQ(value.dim(), 0) << name;
  }
  EXPECT_EQ(names, objective_->terms());
  EXPECT_EQ(loss.total.dim(), 0);
}

TEST_P(AnyObjective, TellsTheNetworkHowImagesWereAugmented) {
  config_.data.augment = 0.1;
  const Model told = test::small_model(config_);
  StepInputs inputs = rows(0, 6);
  const auto loss = [&] { return objective_->loss(told, inputs, nullptr).total.item<double>(); };
  const double before = loss();
  inputs.told = at::zeros({6, kAugmentationNumbers});
  EXPECT_EQ(loss(), before);
  inputs.told[2][0] = 1.0;
  EXPECT_GT(std::abs(loss() - before), 1e-9 * std::abs(before));
  EXPECT_TRUE(at::equal(rows_of(inputs, {2, 3}).told, inputs.told.narrow(0, 2, 3)));
}

INSTANTIATE_TEST_SUITE_P(Kinds, AnyObjective, testing::ValuesIn(test::all_kinds<ObjectiveKind>()),
                         [](const auto& info) { return name_of(info.param); });

TEST(Objectives, ALossThatMixesRowsIsFoundOut) {
  // What IsAMeanOverIndependentRows compares, of a loss with the batch's own mean in it.
  const auto mixing = [](const at::Tensor& rows) {
    return (rows - rows.mean()).square().mean().item<double>();
  };
  const at::Tensor rows = numbers(1, {6});
  const double parts =
      (2.0 * mixing(rows.narrow(0, 0, 2)) + 4.0 * mixing(rows.narrow(0, 2, 4))) / 6.0;
  EXPECT_GT(std::abs(parts - mixing(rows)), 1e-3);
}

// ---- levels ----

std::set<std::int64_t> drawn_levels(const RunConfig& config) {
  const RowDraws draws(1, 0, 0, at::zeros({2000, 1, 1, 1}));
  const NamedTensors drawn =
      make_objective(config.loss)->draw(NoiseSchedule(config.diffusion), draws);
  const at::Tensor t = TrainingRows{{}, {}, drawn}["t"];
  const auto* const values = t.const_data_ptr<std::int64_t>();
  return {values, values + t.numel()};
}

TEST(Levels, AreThoseThatTheObjectiveNeeds) {
  EXPECT_EQ(drawn_levels(config_of(ObjectiveKind::cdm, 3)),
            (std::set<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(drawn_levels(config_of(ObjectiveKind::tre, 3)),
            (std::set<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(drawn_levels(config_of(ObjectiveKind::nce, 3)), (std::set<std::int64_t>{0, 4}));
  RunConfig config = config_of(ObjectiveKind::denoising, 3);
  EXPECT_EQ(drawn_levels(config), (std::set<std::int64_t>{1, 2, 3}));
  config.diffusion.schedule = ScheduleKind::flow_matching;
  EXPECT_EQ(drawn_levels(config), (std::set<std::int64_t>{1, 2}));
}

// ---- formulas ----

TEST(Cdm, LeavesOutTheDenoiserWhereItsWeightIsZero) {
  RunConfig config = config_of(ObjectiveKind::cdm);
  const Model model = test::small_model(config);
  model.network().set_requires_grad(true);
  const at::Tensor x0 = numbers(9, {2, 1, 8, 8});
  const TrainingRows rows = training_rows(x0, levels_of({1, 20}), numbers(8, {2, 1, 8, 8}));
  const Loss both = loss_of(config, model, rows);
  config.loss.mse_weight = 0.0;
  const Loss ce_only = loss_of(config, model, rows);
  EXPECT_THAT(make_objective(config.loss)->terms(), testing::ElementsAre("ce", "accuracy"));
  EXPECT_DOUBLE_EQ(term(ce_only.terms, "ce"), term(both.terms, "ce"));
  EXPECT_DOUBLE_EQ(ce_only.total.item<double>(), 0.5 * term(both.terms, "ce"));
  EXPECT_NEAR(both.total.item<double>(), 0.5 * term(both.terms, "ce") + term(both.terms, "mse"),
              1e-12);
  const at::Tensor eps =
      model.predict_noise(model.schedule().add_noise(x0, rows["t"], rows["noise"]), rows["t"]);
  EXPECT_NEAR(term(both.terms, "mse"), at::mse_loss(eps, rows["noise"]).item<double>(), 1e-12);
}

TEST(Nce, IsTheCrossEntropyOfTwoLevels) {
  RunConfig config = config_of(ObjectiveKind::cdm, 0);
  const Model two_levels = test::small_model(config);
  const TrainingRows rows =
      training_rows(numbers(1, {4, 1, 8, 8}), levels_of({0, 1, 1, 0}), numbers(2, {4, 1, 8, 8}));
  config.loss.mse_weight = 0.0;
  const Loss cdm = loss_of(config, two_levels, rows);
  const Loss nce = loss_of(config_of(ObjectiveKind::nce, 0), two_levels, rows);
  test::expect_close(nce.total, cdm.total, 1e-12, "total");
  EXPECT_NEAR(term(nce.terms, "ce"), term(cdm.terms, "ce"), 1e-12);
  EXPECT_EQ(term(nce.terms, "accuracy"), term(cdm.terms, "accuracy"));
}

TEST(Nce, LooksAtTheTwoEndsOnly) {
  const RunConfig config = config_of(ObjectiveKind::nce);
  const Model model = test::small_model(config);
  const at::Tensor x0 = numbers(1, {2, 1, 8, 8});
  const at::Tensor noise = numbers(2, {2, 1, 8, 8});
  const Loss nce = loss_of(config, model, training_rows(x0, levels_of({0, 21}), noise));
  // An image is data with probability sigmoid(f[0] - f[T+1]).
  const at::Tensor of_data = model.network()(x0.narrow(0, 0, 1), {}, {})[0];
  const at::Tensor of_noise = model.network()(noise.narrow(0, 1, 1), {}, {})[0];
  const double wrong_data = (of_data[21] - of_data[0]).item<double>();
  const double wrong_noise = (of_noise[0] - of_noise[21]).item<double>();
  EXPECT_NEAR(term(nce.terms, "ce"),
              0.5 * (std::log1p(std::exp(wrong_data)) + std::log1p(std::exp(wrong_noise))), 1e-12);
  EXPECT_NEAR(term(nce.terms, "accuracy"), 0.5 * ((wrong_data < 0) + (wrong_noise < 0)), 1e-6);
}

TEST(Tre, IsTheMeanOfTheBridgesLogisticLosses) {
  constexpr std::int64_t kLevels = 7;
  const RunConfig config = config_of(ObjectiveKind::tre, kLevels - 2);
  const Model model = test::small_model(config);
  const at::Tensor x0 = numbers(1, {kLevels, 1, 8, 8});
  const at::Tensor noise = numbers(2, {kLevels, 1, 8, 8});
  const at::Tensor t = levels_of({0, 1, 2, 3, 4, 5, 6});  // each once: the expectation itself
  const Loss tre = loss_of(config, model, training_rows(x0, t, noise));

  const at::Tensor f = model.network()(model.schedule().add_noise(x0, t, noise), {}, {});
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
  EXPECT_NEAR(term(tre.terms, "ce"), loss / (kLevels - 1), 1e-12);
  EXPECT_NEAR(tre.total.item<double>(), 0.5 * loss / (kLevels - 1), 1e-12);
  EXPECT_NEAR(term(tre.terms, "accuracy"), right / (kLevels - 1), 1e-6);
}

TEST(Denoising, MinimisesTheErrorOfTheNoise) {
  RunConfig config = config_of(ObjectiveKind::denoising);
  config.loss.mse_weight = 2.0;
  const Model model = test::small_model(config);
  const at::Tensor x0 = numbers(1, {3, 1, 8, 8});
  const at::Tensor noise = numbers(2, {3, 1, 8, 8});
  const at::Tensor t = levels_of({1, 10, 20});
  const Loss loss = loss_of(config, model, training_rows(x0, t, noise));
  const at::Tensor predicted = model.predict_noise(model.schedule().add_noise(x0, t, noise), t);
  const double mse = at::mse_loss(predicted, noise).item<double>();
  EXPECT_NEAR(term(loss.terms, "mse"), mse, 1e-12);
  EXPECT_NEAR(loss.total.item<double>(), 2.0 * mse, 1e-12);
}

// ---- derivatives ----

// The gradient of the CDM loss by parameters holds second derivatives of the network. It is
// compared with differences of the loss, whose value holds first derivatives only; these in turn
// Density.ScoreIsTheGradientOfTheLogDensity has compared with differences of the logits.
using GradientCase = std::tuple<ObjectiveKind, NetworkKind, std::int64_t>;
constexpr std::int64_t kTold = -1;  // in place of the number of classes: told of augmentations
class LossGradient : public testing::TestWithParam<GradientCase> {};

TEST_P(LossGradient, AgreesWithFiniteDifferences) {
  const auto& [kind, network, given] = GetParam();
  const std::int64_t classes = std::max<std::int64_t>(given, 0);
  RunConfig config = config_of(kind, 20, classes);
  config.model.kind = network;
  config.loss.ce_weight = 0.1;
  config.data.augment = given == kTold ? 0.1 : 0.0;
  const Model model = test::small_model(config);
  const at::Tensor labels = classes > 0 ? levels_of({0, 1, 2}) : at::Tensor();
  StepInputs rows = test::step_inputs(config, 0, numbers(6, {3, 1, 8, 8}), labels);
  if (given == kTold) rows.told = numbers(9, {3, kAugmentationNumbers});
  const auto loss = [&] { return loss_of(config, model, rows).total; };

  const NamedTensors& parameters = model.network().parameters();
  model.network().set_requires_grad(true);
  const std::vector<at::Tensor> gradients = torch::autograd::grad({loss()}, values_of(parameters));
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

INSTANTIATE_TEST_SUITE_P(
    Networks, LossGradient,
    testing::Values(GradientCase{ObjectiveKind::cdm, NetworkKind::unet, 0},
                    GradientCase{ObjectiveKind::cdm, NetworkKind::unet, 3},
                    GradientCase{ObjectiveKind::cdm, NetworkKind::unet, kTold},
                    GradientCase{ObjectiveKind::cdm, NetworkKind::mlp, 3},
                    GradientCase{ObjectiveKind::cdm, NetworkKind::mlp, kTold},
                    GradientCase{ObjectiveKind::tre, NetworkKind::unet, 0},
                    GradientCase{ObjectiveKind::denoising, NetworkKind::unet, 3},
                    GradientCase{ObjectiveKind::denoising, NetworkKind::mlp, 0}));

}  // namespace
}  // namespace cdm
