// SPDX-License-Identifier: MIT
// Adam against the formulas of Kingma and Ba. (Learning rate, average, clipping and layouts are
// tested in test_training.cpp.)
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cdm/train/optimizer.h"
#include "support.h"

namespace cdm {
namespace {

using test::expect_close;
using test::numbers;

TrainConfig unusual_config() {
  TrainConfig config = RunConfig().train;
  config.adam_beta1 = 0.8;
  config.adam_beta2 = 0.95;
  config.adam_eps = 1e-3;
  return config;
}

/// Two parameters of different shapes.
NamedTensors parameters() {
  return {{"a", numbers(1, {3, 2}).clone()}, {"b", numbers(2, {5}).clone()}};
}

std::vector<at::Tensor> gradients(std::uint64_t step) {
  return {numbers(10 + 2 * step, {3, 2}), numbers(11 + 2 * step, {5})};
}

double rate(std::uint64_t step) { return 0.1 / static_cast<double>(step); }

NamedTensors copies(const NamedTensors& tensors) {
  NamedTensors copied;
  for (const auto& [name, tensor] : tensors) copied.emplace_back(name, tensor.clone());
  return copied;
}

TEST(AdamTest, FollowsTheFormulas) {
  const TrainConfig config = unusual_config();
  const NamedTensors weights = parameters();
  Adam adam(weights, config);
  NamedTensors expected = parameters();
  std::vector<at::Tensor> m = {at::zeros_like(expected[0].second),
                               at::zeros_like(expected[1].second)};
  std::vector<at::Tensor> v = {m[0].clone(), m[1].clone()};
  for (std::uint64_t step = 1; step <= 6; ++step) {
    adam.step(gradients(step), rate(step));
    const auto t = static_cast<double>(step);
    for (std::size_t i = 0; i < 2; ++i) {
      const at::Tensor g = gradients(step)[i];
      m[i] = config.adam_beta1 * m[i] + (1 - config.adam_beta1) * g;
      v[i] = config.adam_beta2 * v[i] + (1 - config.adam_beta2) * g * g;
      const at::Tensor m_hat = m[i] / (1 - std::pow(config.adam_beta1, t));
      const at::Tensor v_hat = v[i] / (1 - std::pow(config.adam_beta2, t));
      expected[i].second -= rate(step) * m_hat / (v_hat.sqrt() + config.adam_eps);
      expect_close(weights[i].second, expected[i].second, 1e-12, "weights");
      expect_close(adam.first_moments()[i].second, m[i], 1e-12, "first moments");
      expect_close(adam.second_moments()[i].second, v[i], 1e-12, "second moments");
    }
  }
  EXPECT_EQ(adam.first_moments()[1].first, "b");
  EXPECT_EQ(adam.second_moments()[1].first, "b");
}

// Of the two parameters, only the matrix decays. The class embedding is a matrix, too, but none
// that images are multiplied by.
TEST(AdamTest, DecaysMatricesAndKernelsAsAdamWDoes) {
  TrainConfig config = unusual_config();
  const auto trained = [&](const std::string& matrix, double weight_decay) {
    config.weight_decay = weight_decay;
    NamedTensors weights = parameters();
    weights[0].first = matrix;
    Adam adam(weights, config);
    std::vector<NamedTensors> all = {copies(weights)};
    for (std::uint64_t step = 1; step <= 6; ++step) {
      adam.step(gradients(step), rate(step));
      all.push_back(copies(weights));
    }
    return all;
  };
  const std::vector<NamedTensors> plain = trained("conv_in.weight", 0.0);
  const std::vector<NamedTensors> decayed = trained("conv_in.weight", 0.3);
  at::Tensor expected = plain[0][0].second;
  for (std::size_t step = 1; step <= 6; ++step) {
    // Adam's moments do not depend on the weights here, so its changes of them are the same.
    const at::Tensor change = plain[step][0].second - plain[step - 1][0].second;
    expected = expected * (1.0 - 0.3 * rate(step)) + change;
    expect_close(decayed[step][0].second, expected, 1e-12, "matrix");
    EXPECT_TRUE(at::equal(decayed[step][1].second, plain[step][1].second)) << "vector";
  }
  EXPECT_TRUE(at::equal(trained("label_emb.weight", 0.3).back()[0].second, plain.back()[0].second));

  config.weight_decay = 0.3;
  const NamedTensors weights = parameters();
  Adam adam(weights, config);
  adam.step(gradients(1), rate(1), at::ones({}, at::kFloat));
  EXPECT_TRUE(at::equal(weights[0].second, parameters()[0].second)) << "in a skipped step";
}

TEST(AdamTest, GoesOnFromItsMoments) {
  const NamedTensors whole = parameters();
  Adam uninterrupted(whole, unusual_config());
  NamedTensors weights;
  NamedTensors first;
  NamedTensors second;
  for (std::uint64_t step = 1; step <= 6; ++step) {
    uninterrupted.step(gradients(step), rate(step));
    if (step != 3) continue;
    weights = copies(whole);
    first = copies(uninterrupted.first_moments());
    second = copies(uninterrupted.second_moments());
  }
  Adam resumed(weights, unusual_config());
  resumed.load(first, second, 3);
  for (std::uint64_t step = 4; step <= 6; ++step) resumed.step(gradients(step), rate(step));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(at::equal(weights[i].second, whole[i].second)) << whole[i].first;
  }
}

TEST(AdamTest, RefusesMomentsOfOthers) {
  Adam adam(parameters(), unusual_config());
  const NamedTensors good = copies(adam.first_moments());
  const NamedTensors turned = {good[1], good[0]};
  EXPECT_THROW(adam.load({good[0]}, good, 1), c10::Error);
  EXPECT_THROW(adam.load(good, {good[0]}, 1), c10::Error);
  EXPECT_THROW(adam.load(turned, good, 1), c10::Error);
  EXPECT_THROW(adam.load(good, turned, 1), c10::Error);
  EXPECT_NO_THROW(adam.load(good, good, 1));
}

}  // namespace
}  // namespace cdm
