// SPDX-License-Identifier: MIT
// Helpers for numerical tests: small networks, comparisons, finite differences.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"
#include "cdm/data/augment.h"
#include "cdm/device/random.h"
#include "cdm/diffusion/model.h"
#include "cdm/diffusion/objective.h"
#include "cdm/train/step_inputs.h"

namespace cdm::test {

/// All enumerators of a kind, for tests of what every one of them must do.
template <class Kind>
std::vector<Kind> all_kinds() {
  std::vector<Kind> kinds;
  for (const auto& [kind, name] : KindNames<Kind>::all) kinds.push_back(kind);
  return kinds;
}

inline at::TensorOptions real64() { return at::TensorOptions().dtype(at::kDouble); }

/// Standard normal numbers that depend only on `index`, `shape` and `options`.
inline at::Tensor numbers(std::uint64_t index, at::IntArrayRef shape,
                          at::TensorOptions options = real64()) {
  return normal({123, Purpose::noise, index}, shape, options);
}

/// The largest |a - b| divided by the largest |b|, so that a single wrong element counts.
inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  if (a.sizes() != b.sizes()) return 1e300;
  const double scale = b.to(at::kDouble).abs().max().item<double>();
  const double error = (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
  return error / (scale > 0.0 ? scale : 1.0);
}

inline void expect_close(const at::Tensor& actual, const at::Tensor& expected, double tolerance,
                         const std::string& what) {
  const double error = relative_error(actual, expected);
  EXPECT_FALSE(!(error <= tolerance))
      << what << ": relative error " << error << " exceeds " << tolerance;
}

/// The central finite difference of the scalar function f at x in direction v, in float64.
inline double directional_difference(const std::function<double(const at::Tensor&)>& f,
                                     const at::Tensor& x, const at::Tensor& v, double h = 1e-5) {
  return (f(x + v * h) - f(x - v * h)) / (2.0 * h);
}

/// Sets a network's last layer to zero, so that its output is known. For a classifier all levels
/// are then equally likely, and log p_t is that of a standard normal. A plain denoiser predicts
/// zero.
inline void zero_last_layer(NamedTensors& weights) {
  const auto has = [&](const std::string& layer) {
    return std::any_of(weights.begin(), weights.end(),
                       [&](const auto& weight) { return weight.first.starts_with(layer); });
  };
  const std::string last = has("linear_layer.") ? "linear_layer." : "conv_out.";
  ASSERT_TRUE(has(last));
  for (auto& [name, value] : weights) {
    if (name.starts_with(last)) value = value.detach().clone().zero_();
  }
}

/// The configuration of a small UNet with diffusion.steps = T; num_classes = 0: unconditional.
inline RunConfig small_config(std::int64_t T = 20, std::int64_t num_classes = 0) {
  RunConfig config;
  config.diffusion.steps = T;
  config.model.channels = 8;
  config.model.channel_mult = {1, 2};
  config.model.res_blocks = 1;
  config.model.attention_resolutions = {4};
  config.model.dropout = 0.0;
  config.model.num_classes = num_classes;
  config.train.batch_size = 4;
  config.train.warmup = 0;
  config.train.ema_start = 0;
  return config;
}

inline Model small_model(const RunConfig& config, std::int64_t channels = 1, std::int64_t size = 8,
                         at::ScalarType type = at::kDouble) {
  const NoiseSchedule schedule(config.diffusion);
  std::shared_ptr<Network> network = make_network(
      config.model, {channels, size, schedule.levels(), augmentation_numbers(config.data)}, 7);
  network->to(at::kCPU, type);
  return {std::move(network), schedule};
}

/// Rows with the given levels and noise, for objectives that draw these two.
inline TrainingRows training_rows(const at::Tensor& x0, const at::Tensor& t,
                                  const at::Tensor& noise, const at::Tensor& labels = {}) {
  return {x0, labels, {{"t", t}, {"noise", noise}}};
}

/// The value of the term with that name.
inline double term(const NamedTensors& terms, const std::string& name) {
  if (const at::Tensor value = find_tensor(terms, name); value.defined()) {
    return value.item<double>();
  }
  ADD_FAILURE() << "there is no term " << name;
  return 1e300;
}

/// The inputs of training step `step` with this configuration.
inline StepInputs step_inputs(const RunConfig& config, std::int64_t step, const at::Tensor& x0,
                              const at::Tensor& labels = {}) {
  const NoiseSchedule schedule(config.diffusion);
  const std::unique_ptr<Objective> objective = make_objective(config.loss, schedule);
  return draw_inputs(config, *objective, schedule, step, x0, labels);
}

}  // namespace cdm::test
