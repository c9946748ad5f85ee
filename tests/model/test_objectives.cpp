// SPDX-License-Identifier: MIT
// Objectives: their formulas, their derivatives, and the contract that all of them keep.
#include <ATen/ops/bincount.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <set>
#include <string>
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
  return make_objective(config.loss, model.schedule())->loss(model, rows, nullptr);
}

// ---- the contract ----

struct ObjectiveCase {
  std::string name;
  RunConfig config;
};

void PrintTo(const ObjectiveCase& shown, std::ostream* out) { *out << shown.name; }

class AnyObjective : public testing::TestWithParam<ObjectiveCase> {
 protected:
  RunConfig config_ = GetParam().config;
  Model model_ = test::small_model(config_);
  std::unique_ptr<Objective> objective_ = make_objective(config_.loss, model_.schedule());

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
  for (const std::int64_t cut : {1, 2, 3}) {
    const std::vector<double> a = values(rows(0, cut));
    const std::vector<double> b = values(rows(cut, 6 - cut));
    const double share = static_cast<double>(cut) / 6.0;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      const std::string name = i == 0 ? "loss" : objective_->terms()[i - 1];
      const double tolerance = name == "accuracy" ? 1e-6 : 1e-12 * std::abs(whole[i]) + 1e-14;
      EXPECT_NEAR(permuted[i], whole[i], tolerance) << name;
      EXPECT_NEAR(share * a[i] + (1.0 - share) * b[i], whole[i], tolerance) << name << " " << cut;
    }
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

/// Every kind, as it is by default and with other levels, weights and shares.
std::vector<ObjectiveCase> all_objectives() {
  std::vector<ObjectiveCase> cases;
  for (const ObjectiveKind kind : test::all_kinds<ObjectiveKind>()) {
    cases.push_back({name_of(kind), config_of(kind, 20, 3)});
    cases.push_back({name_of(kind) + "_with_options", config_of(kind, 20, 3)});
    LossConfig& loss = cases.back().config.loss;
    loss.level_sampling = LevelSampling::stratified;
    loss.level_density = LevelDensity::log_snr;
    loss.mse_weighting = MseWeighting::min_snr;
    loss.mse_share = 0.5;
    loss.pair_loss = PairLoss::kl;
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Kinds, AnyObjective, testing::ValuesIn(all_objectives()),
                         [](const auto& info) { return info.param.name; });

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
  const NoiseSchedule schedule(config.diffusion);
  const NamedTensors drawn = make_objective(config.loss, schedule)->draw(schedule, draws);
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
  EXPECT_THAT(make_objective(config.loss, model.schedule())->terms(),
              testing::ElementsAre("ce", "accuracy"));
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

TEST(Subset, IsTheCrossEntropyOfTheDrawnLevels) {
  RunConfig config = config_of(ObjectiveKind::subset, 6);
  config.loss.mse_weight = 0.0;
  config.loss.subset_levels = 3;
  const Model model = test::small_model(config);
  const StepInputs rows = test::step_inputs(config, 0, numbers(1, {50, 1, 8, 8}));
  const at::Tensor f =
      model.network()(model.schedule().add_noise(rows.x0, rows["t"], rows["noise"]), {}, {});
  double ce = 0.0, right = 0.0;
  for (std::int64_t i = 0; i < 50; ++i) {
    const at::Tensor subset = rows["subset"][i];
    EXPECT_TRUE(at::equal(subset[0], rows["t"][i]));
    const auto* const levels = subset.const_data_ptr<std::int64_t>();
    EXPECT_EQ(std::set<std::int64_t>(levels, levels + 3).size(), 3U);
    const at::Tensor p = f[i].index_select(0, subset).softmax(0);
    ce -= p[0].log().item<double>();
    right += p.argmax().item<std::int64_t>() == 0;
  }
  const Loss loss = loss_of(config, model, rows);
  EXPECT_NEAR(term(loss.terms, "ce"), ce / 50, 1e-12);
  EXPECT_NEAR(loss.total.item<double>(), 0.5 * ce / 50, 1e-12);
  EXPECT_NEAR(term(loss.terms, "accuracy"), right / 50, 1e-6);
}

TEST(Subset, OfAllLevelsIsTheCrossEntropyOfCdm) {
  RunConfig config = config_of(ObjectiveKind::subset, 6);
  config.loss.subset_levels = 8;
  const Model model = test::small_model(config);
  const StepInputs rows = test::step_inputs(config, 0, numbers(1, {5, 1, 8, 8}));
  const Loss subset = loss_of(config, model, rows);
  config.loss.kind = ObjectiveKind::cdm;
  const Loss all = loss_of(config, model, rows);
  EXPECT_NEAR(subset.total.item<double>(), all.total.item<double>(), 1e-12);
}

TEST(Pairs, HaveEveryDistanceWithItsWeight) {
  RunConfig config = config_of(ObjectiveKind::pairs, 4);
  constexpr std::int64_t kLevels = 6, kRows = 60000;
  const at::Tensor x0 = numbers(1, {kRows, 1, 1, 1});
  for (const PairDistance distance : test::all_kinds<PairDistance>()) {
    config.loss.pair_distance = distance;
    const StepInputs rows = test::step_inputs(config, 0, x0);
    const at::Tensor seen = at::bincount(rows["t"] * kLevels + rows["other"], {}, kLevels * kLevels)
                                .to(at::kDouble)
                                .view({kLevels, kLevels});
    for (std::int64_t t = 0; t < kLevels; ++t) {
      at::Tensor expected = at::zeros({kLevels}, test::real64());
      for (std::int64_t s = 0; s < kLevels; ++s) {
        const auto n = static_cast<double>(std::abs(s - t));
        if (s != t) expected[s].fill_(distance == PairDistance::uniform ? 1.0 : 1.0 / n);
      }
      const at::Tensor difference = seen[t] / seen[t].sum() - expected / expected.sum();
      EXPECT_LT(difference.abs().max().item<double>(), 0.02) << t << seen[t];
    }
  }
}

TEST(Pairs, LossesAreThoseOfTheLogRatio) {
  RunConfig config = config_of(ObjectiveKind::pairs, 6);
  config.loss.mse_weight = 0.0;
  config.loss.pair_distance = PairDistance::uniform;  // then no level has another prior
  const Model model = test::small_model(config);
  const StepInputs rows = test::step_inputs(config, 0, numbers(1, {40, 1, 8, 8}));
  const at::Tensor f =
      model.network()(model.schedule().add_noise(rows.x0, rows["t"], rows["noise"]), {}, {});
  double logistic = 0.0, kl = 0.0, right = 0.0;
  for (std::int64_t i = 0; i < 40; ++i) {
    const auto t = rows["t"][i].item<std::int64_t>(), s = rows["other"][i].item<std::int64_t>();
    const double a = (f[i][std::min(t, s)] - f[i][std::max(t, s)]).item<double>();
    logistic += std::log1p(std::exp(t < s ? -a : a));
    kl += t < s ? -a : std::exp(a);
    right += t < s ? a > 0 : a <= 0;
  }
  const Loss js = loss_of(config, model, rows);
  EXPECT_NEAR(term(js.terms, "ce"), logistic / 40, 1e-12);
  EXPECT_NEAR(js.total.item<double>(), 0.5 * logistic / 40, 1e-12);
  EXPECT_NEAR(term(js.terms, "accuracy"), right / 40, 1e-6);
  config.loss.pair_loss = PairLoss::kl;
  EXPECT_NEAR(term(loss_of(config, model, rows).terms, "ce"), kl / 40, 1e-12);
}

TEST(TimeScore, ComparesDifferencesOfLogitsWithThoseOfTheNoiseDensity) {
  RunConfig config = config_of(ObjectiveKind::time_score, 6);
  config.loss.time_score_from = 3;
  config.loss.time_score_weight = 2.0;
  const Model model = test::small_model(config);
  const NoiseSchedule& schedule = model.schedule();
  constexpr std::int64_t kRows = 24;
  constexpr double kPixels = 64.0;
  const StepInputs rows = test::step_inputs(config, 0, numbers(1, {kRows, 1, 8, 8}));
  const at::Tensor x_t = schedule.add_noise(rows.x0, rows["t"], rows["noise"]);
  const at::Tensor f = model.network()(x_t, {}, {});
  double sum = 0.0;
  for (std::int64_t i = 0; i < kRows; ++i) {
    const auto t = rows["t"][i].item<std::int64_t>();
    if (t < 3 || t == 7) continue;
    const auto log_density = [&](std::int64_t s, const at::Tensor& x, const at::Tensor& x0) {
      const double sigma = schedule.sigma(s);
      return (x - schedule.signal(s) * x0).square().flatten(1).sum(1) / (-2.0 * sigma * sigma) -
             kPixels * std::log(sigma);
    };
    const auto tau = [&](const at::Tensor& x0, const at::Tensor& noise) {  // of each noise
      const at::Tensor x = schedule.signal(t) * x0 + schedule.sigma(t) * noise;
      return 0.5 * (log_density(t + 1, x, x0) - log_density(t - 1, x, x0));
    };
    // The variance of tau over noise, for an image whose mean square is 1.
    const at::Tensor one = at::ones({1, 1, 8, 8}, test::real64());
    const at::Tensor of_draws = tau(one, numbers(100, {4000, 1, 8, 8}));
    const double g = 0.5 * (f[i][t + 1] - f[i][t - 1]).item<double>();
    const double tau_here =
        tau(rows.x0.narrow(0, i, 1), rows["noise"].narrow(0, i, 1)).item<double>();
    sum += std::pow(g - tau_here, 2) / of_draws.var().item<double>();
  }
  const Loss loss = loss_of(config, model, rows);
  const double error = term(loss.terms, "time_score_error");
  EXPECT_NEAR(error, sum / kRows, 0.05 * sum / kRows);
  config.loss.kind = ObjectiveKind::cdm;
  EXPECT_NEAR(loss.total.item<double>(),
              loss_of(config, model, rows).total.item<double>() + 2.0 * error, 1e-10);
}

TEST(MseWeighting, WeighsTheErrorsOfLevels) {
  for (const ObjectiveKind kind : {ObjectiveKind::cdm, ObjectiveKind::denoising}) {
    RunConfig config = config_of(kind, 6);
    config.loss.ce_weight = 0.0;
    config.loss.mse_weighting = MseWeighting::min_snr;
    config.loss.min_snr_gamma = 50.0;
    const Model model = test::small_model(config);
    const StepInputs rows = test::step_inputs(config, 0, numbers(1, {9, 1, 8, 8}));
    const at::Tensor& t = rows["t"];
    const at::Tensor eps =
        model.predict_noise(model.schedule().add_noise(rows.x0, t, rows["noise"]), t);
    double sum = 0.0;
    for (std::int64_t i = 0; i < 9; ++i) {
      const double snr = std::exp(model.schedule().log_snr(t[i].item<std::int64_t>()));
      const double weight = std::isinf(snr) ? 0.0 : snr > 50.0 ? 50.0 / snr : 1.0;
      sum += weight * at::mse_loss(eps[i], rows["noise"][i]).item<double>();
    }
    const Loss loss = loss_of(config, model, rows);
    EXPECT_NEAR(loss.total.item<double>(), sum / 9, 1e-12);
    EXPECT_NEAR(term(loss.terms, "weighted_mse"), sum / 9, 1e-12);
    EXPECT_NEAR(term(loss.terms, "mse"), at::mse_loss(eps, rows["noise"]).item<double>(), 1e-12);
  }
}

TEST(MseShare, IsTheMeanErrorOfSomeRows) {
  RunConfig config = config_of(ObjectiveKind::cdm, 6);
  config.loss.ce_weight = 0.0;
  config.loss.mse_share = 0.375;  // 3 of 8
  const Model model = test::small_model(config);
  const StepInputs rows = test::step_inputs(config, 0, numbers(1, {8, 1, 8, 8}));
  const at::Tensor eps =
      model.predict_noise(model.schedule().add_noise(rows.x0, rows["t"], rows["noise"]), rows["t"]);
  const at::Tensor chosen = levels_of({2, 5, 7});  // floor(3 (r + 1) / 8) > floor(3 r / 8)
  const double mse =
      at::mse_loss(eps.index_select(0, chosen), rows["noise"].index_select(0, chosen))
          .item<double>();
  const Loss share = loss_of(config, model, rows);
  EXPECT_NEAR(share.total.item<double>(), mse, 1e-12);
  config.loss.mse_share = 1.0;
  const Loss all = loss_of(config, model, rows);
  EXPECT_NEAR(term(share.terms, "ce"), term(all.terms, "ce"), 1e-12);
  EXPECT_NEAR(term(share.terms, "accuracy"), term(all.terms, "accuracy"), 1e-6);
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
using GradientCase = std::tuple<ObjectiveKind, NetworkKind, std::int64_t, double>;
constexpr std::int64_t kTold = -1;  // in place of the number of classes: told of augmentations
class LossGradient : public testing::TestWithParam<GradientCase> {};

TEST_P(LossGradient, AgreesWithFiniteDifferences) {
  const auto& [kind, network, given, mse_share] = GetParam();
  const std::int64_t classes = std::max<std::int64_t>(given, 0);
  RunConfig config = config_of(kind, 20, classes);
  config.model.kind = network;
  config.loss.ce_weight = 0.1;
  config.loss.time_score_weight = 0.1;
  config.loss.mse_share = mse_share;
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
    testing::Values(GradientCase{ObjectiveKind::cdm, NetworkKind::unet, 0, 1.0},
                    GradientCase{ObjectiveKind::cdm, NetworkKind::unet, 3, 1.0},
                    GradientCase{ObjectiveKind::cdm, NetworkKind::unet, kTold, 1.0 / 3.0},
                    GradientCase{ObjectiveKind::cdm, NetworkKind::mlp, 3, 1.0},
                    GradientCase{ObjectiveKind::cdm, NetworkKind::mlp, kTold, 1.0},
                    GradientCase{ObjectiveKind::cdm, NetworkKind::unet, 0, 1.0 / 3.0},
                    GradientCase{ObjectiveKind::tre, NetworkKind::unet, 0, 1.0},
                    GradientCase{ObjectiveKind::subset, NetworkKind::mlp, 0, 1.0},
                    GradientCase{ObjectiveKind::pairs, NetworkKind::mlp, 0, 1.0},
                    GradientCase{ObjectiveKind::time_score, NetworkKind::mlp, 0, 1.0},
                    GradientCase{ObjectiveKind::denoising, NetworkKind::unet, 3, 1.0},
                    GradientCase{ObjectiveKind::denoising, NetworkKind::mlp, 0, 1.0}));

}  // namespace
}  // namespace cdm
