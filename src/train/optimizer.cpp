// SPDX-License-Identifier: MIT
#include "cdm/train/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_foreach_sub.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "train/fused_update.h"

namespace cdm {

double learning_rate_at(const TrainConfig& config, std::int64_t step, double time_used) {
  return learning_rate_of(update_rules(config), step, time_used);
}

bool depends_on_time(const TrainConfig& config) {
  return config.max_minutes > 0.0 && config.learning_rate_schedule != LearningRateSchedule::steps;
}

double time_used(const TrainConfig& config, double seconds) {
  if (config.max_minutes <= 0.0) return 0.0;
  return std::min(seconds / (60.0 * config.max_minutes), 1.0);
}

Optimizer::Optimizer(const NamedTensors& parameters, const TrainConfig& config)
    : parameters_(parameters), muon_(parameters, config) {
  NamedTensors others;
  for (const auto& [name, value] : parameters) {
    is_for_muon_.push_back(is_for_muon(config, name, value));
    if (!is_for_muon_.back()) others.emplace_back(name, value);
  }
  adam_.emplace(others, config);
}

void Optimizer::step(const std::vector<at::Tensor>& gradients, double learning_rate,
                     const at::Tensor& skipped) {
  std::vector<at::Tensor> others;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (!is_for_muon_[i]) others.push_back(gradients[i]);
  }
  adam_->step(others, learning_rate, skipped);
  if (muon_.is_empty()) return;
  muon_.step(gradients, at::full({}, learning_rate, skipped.options().dtype(at::kDouble)), skipped);
}

NamedTensors Optimizer::first_moments() const {
  const NamedTensors adams = adam_->first_moments();
  const NamedTensors muons = muon_.momenta();
  NamedTensors all;
  auto adam = adams.begin();
  auto muon = muons.begin();
  for (const bool is_muons : is_for_muon_) all.push_back(is_muons ? *muon++ : *adam++);
  return all;
}

void Optimizer::load(const NamedTensors& first, const NamedTensors& second, std::int64_t updates) {
  TORCH_CHECK(first.size() == parameters_.size(), "optimizer: ", first.size(), " moments for ",
              parameters_.size(), " parameters");
  const NamedTensors momenta = muon_.momenta();
  auto momentum = momenta.begin();
  NamedTensors adams;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (!is_for_muon_[i]) {
      adams.push_back(first[i]);
      continue;
    }
    TORCH_CHECK(first[i].first == momentum->first, "Muon: momentum of ", first[i].first, " where ",
                momentum->first, " is due");
    momentum++->second.copy_(first[i].second);
  }
  adam_->load(adams, second, updates);
}

at::Tensor is_not_finite(const at::Tensor& value) {
  return value.isfinite().logical_not().to(at::kFloat);
}

at::Tensor gradient_norm(const std::vector<at::Tensor>& gradients) {
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients)), 2);
}

void clip_gradients(const std::vector<at::Tensor>& gradients, const at::Tensor& norm,
                    double limit) {
  // The constant 1e-6 and the clamp are those of torch.nn.utils.clip_grad_norm_.
  at::_foreach_mul_(gradients, norm.add(1e-6).reciprocal().mul(limit).clamp_max(1.0));
}

double ema_decay_at(const TrainConfig& config, std::int64_t step, std::int64_t average) {
  return ema_decay_of(update_rules(config), average, step);
}

std::int64_t average_count(const TrainConfig& config) { return update_rules(config).averages; }

void move_towards(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& targets,
                  const at::Tensor& share) {
  const std::vector<at::Tensor> change = at::_foreach_sub(targets, values);
  at::_foreach_mul_(change, share);
  at::_foreach_add_(values, change);
}

void update_average(const NamedTensors& average, const NamedTensors& weights, double decay,
                    const at::Tensor& skipped) {
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> into = values_of(average);
  const std::vector<at::Tensor> from = values_of(weights);
  if (decay == 0.0) {
    // This is right for a skipped step, too: the average already equals the unchanged weights.
    at::_foreach_copy_(into, from);
    return;
  }
  const bool is_known = !skipped.defined() || skipped.is_cpu();  // without a wait for a device
  if (is_known) {
    const bool is_skipped = skipped.defined() && skipped.item<float>() != 0.0F;
    if (!is_skipped) at::_foreach_lerp_(into, from, 1.0 - decay);
    return;
  }
  // 1 - decay, or 0 for a skipped step: the device decides.
  move_towards(into, from, (1.0 - skipped).to(into.front().scalar_type()) * (1.0 - decay));
}

}  // namespace cdm
