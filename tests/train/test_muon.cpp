// SPDX-License-Identifier: MIT
// Muon: orthogonal updates, the formula of a step, which parameters it updates, and skipped steps.
#include <ATen/TensorOperators.h>
#include <ATen/ops/diag.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/logspace.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cdm/train/learner.h"
#include "cdm/train/muon.h"
#include "support.h"

namespace cdm {
namespace {

using test::expect_close;
using test::numbers;

TEST(Orthogonalised, HasSingularValuesNearOneAndTheSameVectors) {
  for (const auto& [rows, cols] : {std::pair(6, 20), {20, 6}, {8, 8}, {1, 5}}) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const std::int64_t rank = std::min(rows, cols);
    const auto [u, unused_r] = at::linalg_qr(numbers(1, {rows, rank}));
    const auto [v, unused_s] = at::linalg_qr(numbers(2, {cols, rank}));
    // Singular values over two orders of magnitude.
    const at::Tensor sizes = at::logspace(0, -2, rank, 10.0, at::kDouble);
    const at::Tensor matrix = u.mul(sizes.mul(17.0)).mm(v.t());
    const at::Tensor made = orthogonalised(matrix);
    EXPECT_EQ(made.sizes(), matrix.sizes());
    // In the basis of the singular vectors, it is diagonal.
    const at::Tensor inside = u.t().mm(made).mm(v);
    const at::Tensor diagonal = inside.diagonal();
    EXPECT_LT((inside - at::diag(diagonal)).abs().max().item<double>(), 1e-10);
    EXPECT_GT(diagonal.min().item<double>(), 0.6);
    EXPECT_LT(diagonal.max().item<double>(), 1.2);
  }
}

TEST(Orthogonalised, DoesNotDependOnTheSizeAndTakesManyAtOnce) {
  const at::Tensor matrices = numbers(3, {3, 4, 7});
  const at::Tensor made = orthogonalised(matrices);
  for (std::int64_t i = 0; i < 3; ++i) {
    expect_close(orthogonalised(matrices[i] * 1e3), made[i], 1e-6, "one of them");
  }
  EXPECT_TRUE(
      at::equal(orthogonalised(at::zeros({2, 3}, at::kDouble)), at::zeros({2, 3}, at::kDouble)));
}

TrainConfig muon_config() {
  TrainConfig config = RunConfig().train;
  config.optimizer = OptimizerKind::muon;
  config.muon_momentum = 0.9;
  return config;
}

/// Two hidden kernels of one shape, a hidden matrix, and what Adam updates.
NamedTensors parameters() {
  return {{"conv_in.weight", numbers(1, {4, 1, 3, 3}).clone()},
          {"down.0.block.0.conv1.weight",
           numbers(2, {4, 2, 3, 3}).clone(at::MemoryFormat::ChannelsLast)},
          {"down.0.block.0.conv1.bias", numbers(3, {4}).clone()},
          {"down.0.block.0.conv2.weight", numbers(4, {4, 2, 3, 3}).clone()},
          {"temb.dense.1.weight", numbers(5, {8, 3}).clone()},
          {"linear_layer.weight", numbers(6, {5, 4}).clone()},
          {"label_emb.weight", numbers(7, {3, 4}).clone()}};
}

std::vector<at::Tensor> gradients(std::uint64_t step) {
  std::vector<at::Tensor> all;
  for (const auto& [name, value] : parameters()) {
    all.push_back(numbers(100 * step + all.size(), value.sizes()));
  }
  return all;
}

std::vector<std::string> names_of(const NamedTensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return names;
}

/// The five steps of the source, one matrix at a time.
at::Tensor five_steps(const at::Tensor& matrix) {
  at::Tensor x = matrix / matrix.norm();
  if (x.size(0) > x.size(1)) x = x.t();
  for (int i = 0; i < 5; ++i) {
    const at::Tensor a = x.mm(x.t());
    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a.mm(a)).mm(x);
  }
  return matrix.size(0) > matrix.size(1) ? x.t() : x;
}

TEST(Muon, FollowsTheFormulas) {
  TrainConfig config = muon_config();
  config.weight_decay = 0.3;
  const NamedTensors weights = parameters();
  Optimizer optimizer(weights, config);
  ASSERT_NE(optimizer.muon(), nullptr);
  EXPECT_THAT(names_of(optimizer.muon()->momenta()),
              testing::ElementsAre("down.0.block.0.conv1.weight", "down.0.block.0.conv2.weight",
                                   "temb.dense.1.weight"));
  EXPECT_EQ(names_of(optimizer.first_moments()), names_of(weights));
  EXPECT_EQ(optimizer.second_moments().size(), 4U);

  std::map<std::string, at::Tensor> expected, momentum;
  NamedTensors adams;
  for (const auto& [name, value] : parameters()) {
    expected[name] = value;
    momentum[name] = at::zeros({value.size(0), value.numel() / value.size(0)}, at::kDouble);
    if (!is_for_muon(config, name, value)) adams.emplace_back(name, value);
  }
  Adam adam(adams, config);
  for (std::uint64_t step = 1; step <= 4; ++step) {
    const double rate = 0.1 / static_cast<double>(step);
    optimizer.step(gradients(step), rate, at::zeros({}, at::kFloat));
    std::vector<at::Tensor> for_adam;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto& [name, value] = weights[i];
      const at::Tensor gradient = gradients(step)[i];
      if (!is_for_muon(config, name, value)) {
        for_adam.push_back(gradient);
        continue;
      }
      at::Tensor& m = momentum[name];
      const at::Tensor g = gradient.reshape(m.sizes());
      m = 0.9 * m + 0.1 * g;
      const double scale = 0.2 * std::sqrt(static_cast<double>(std::max(m.size(0), m.size(1))));
      expected[name] = (1.0 - rate * 0.3) * expected[name] -
                       rate * scale * five_steps(0.9 * m + 0.1 * g).reshape(value.sizes());
      expect_close(value, expected[name], 1e-7, name);
      expect_close(tensor_named(optimizer.first_moments(), name), m.reshape(value.sizes()), 1e-12,
                   name);
    }
    adam.step(for_adam, rate);
    for (const auto& [name, value] : adams) {
      EXPECT_TRUE(at::equal(tensor_named(weights, name), value)) << name;
    }
  }
}

TEST(Muon, ChangesNothingInASkippedStep) {
  TrainConfig config = muon_config();
  config.weight_decay = 0.3;
  const NamedTensors weights = parameters();
  Optimizer optimizer(weights, config);
  optimizer.step(gradients(1), 0.1, at::zeros({}, at::kFloat));
  NamedTensors before, moments;
  for (const auto& [name, value] : weights) before.emplace_back(name, value.clone());
  for (const auto& [name, value] : optimizer.first_moments()) {
    moments.emplace_back(name, value.clone());
  }
  std::vector<at::Tensor> bad = gradients(2);
  for (at::Tensor& gradient : bad) gradient.fill_(std::numeric_limits<double>::quiet_NaN());
  optimizer.step(bad, 0.1, at::full({}, 1.0, at::kFloat));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    EXPECT_TRUE(at::equal(weights[i].second, before[i].second)) << weights[i].first;
    EXPECT_TRUE(at::equal(optimizer.first_moments()[i].second, moments[i].second));
  }
}

TEST(Muon, UpdatesTheHiddenMatricesOfEveryNetwork) {
  for (const NetworkKind kind : test::all_kinds<NetworkKind>()) {
    SCOPED_TRACE(name_of(kind));
    RunConfig config = test::small_config(20, 3);
    config.model.kind = kind;
    config.model.res_blocks = 2;
    config.train.optimizer = OptimizerKind::muon;
    const Learner learner(config, {1, 8, 22}, at::kCPU);
    int muons = 0;
    for (const auto& [name, value] : learner.model().network().parameters()) {
      const bool is_outer = name.starts_with("conv_in.") || name.starts_with("hidden.0.") ||
                            name.starts_with("conv_out.") || name.starts_with("linear_layer.");
      const bool is_hidden = value.dim() > 1 && !is_outer && name != "label_emb.weight";
      EXPECT_EQ(is_for_muon(config.train, name, value), is_hidden) << name;
      muons += is_hidden ? 1 : 0;
      config.train.optimizer = OptimizerKind::adam;
      EXPECT_FALSE(is_for_muon(config.train, name, value));
      config.train.optimizer = OptimizerKind::muon;
    }
    EXPECT_GT(muons, 0);
    EXPECT_EQ(learner.state().exp_avg.size(), learner.state().model.size());
    EXPECT_EQ(learner.state().exp_avg_sq.size() + static_cast<std::size_t>(muons),
              learner.state().model.size());
  }
}

TEST(Muon, OverfitsOneBatch) {
  RunConfig config = test::small_config();
  config.train.learning_rate = 3e-3;
  config.train.optimizer = OptimizerKind::muon;
  Learner learner(config, {1, 8, 22}, at::kCPU);
  const StepInputs inputs =
      test::step_inputs(config, 0, numbers(1, {4, 1, 8, 8}, at::kFloat).tanh());
  const double before = learner.step(inputs)["loss"].item<double>();
  double after = before;
  for (int k = 0; k < 150; ++k) after = learner.step(inputs)["loss"].item<double>();
  EXPECT_LT(after, before / 10.0) << "from " << before;
}

}  // namespace
}  // namespace cdm
