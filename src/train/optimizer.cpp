// SPDX-License-Identifier: MIT
#include "cdm/train/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_foreach_sub.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>

#include "cdm/model/parameter_role.h"
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

bool weight_decays(const std::string& name, const at::Tensor& value) {
  switch (role_of(name, value)) {
    case ParameterRole::vector:
    case ParameterRole::embedding:
      return false;
    case ParameterRole::first:
    case ParameterRole::hidden:
    case ParameterRole::last:
      break;
  }
  return true;
}

Adam::Adam(const NamedTensors& parameters, const TrainConfig& config)
    : parameters_(parameters),
      values_(values_of(parameters)),
      beta1_(config.adam_beta1),
      beta2_(config.adam_beta2),
      eps_(config.adam_eps),
      weight_decay_(config.weight_decay) {
  for (const auto& [name, value] : parameters_) {
    decays_.push_back(weight_decay_ > 0.0 && weight_decays(name, value));
    first_.push_back(at::zeros_like(value));
    second_.push_back(at::zeros_like(value));
  }
  updates_ = at::zeros({}, values_.front().options().dtype(at::kFloat).requires_grad(false));
}

void Adam::step(const std::vector<at::Tensor>& gradients, double learning_rate,
                const at::Tensor& skipped) {
  const c10::NoGradGuard no_grad;
  // The kernel reads memory in order and ignores strides, so all tensors need the same layout.
  std::vector<at::Tensor> laid_out = gradients;
  for (std::size_t i = 0; i < laid_out.size(); ++i) {
    if (laid_out[i].strides() != values_[i].strides()) {
      laid_out[i] = at::empty_like(values_[i]).copy_(gradients[i]);
    }
  }
  updates_.add_(1);
  if (skipped.defined()) updates_.sub_(skipped);
  for (const bool decays : {false, true}) update(laid_out, learning_rate, skipped, decays);
}

void Adam::update(const std::vector<at::Tensor>& gradients, double learning_rate,
                  const at::Tensor& skipped, bool decays) {
  const auto chosen = [&](const std::vector<at::Tensor>& tensors) {
    std::vector<at::Tensor> some;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (decays_[i] == decays) some.push_back(tensors[i]);
    }
    return some;
  };
  const std::vector<at::Tensor> values = chosen(values_);
  if (values.empty()) return;
  // The kernel takes one count of updates per parameter; here they are all the same tensor.
  const std::vector<at::Tensor> updates(values.size(), updates_);
  const auto adam = [&](const auto& kernel, double weight_decay) {
    kernel(values, chosen(gradients), chosen(first_), chosen(second_), /*max_exp_avg_sqs=*/{},
           updates, learning_rate, beta1_, beta2_, weight_decay, eps_, /*amsgrad=*/false,
           /*maximize=*/false, /*grad_scale=*/{},
           skipped.defined() ? std::optional(skipped) : std::nullopt);
  };
  if (decays) {
    adam([](const auto&... arguments) { at::_fused_adamw_(arguments...); }, weight_decay_);
  } else {
    adam([](const auto&... arguments) { at::_fused_adam_(arguments...); }, 0.0);
  }
}

NamedTensors Adam::with_names(const std::vector<at::Tensor>& tensors) const {
  NamedTensors named;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    named.emplace_back(parameters_[i].first, tensors[i]);
  }
  return named;
}

void Adam::load(const NamedTensors& first, const NamedTensors& second, std::int64_t updates) {
  TORCH_CHECK(first.size() == first_.size() && second.size() == second_.size(),
              "Adam: ", first.size(), " and ", second.size(), " moments for ", first_.size(),
              " parameters");
  for (std::size_t i = 0; i < first_.size(); ++i) {
    TORCH_CHECK(first[i].first == parameters_[i].first && second[i].first == parameters_[i].first,
                "Adam: moments of ", first[i].first, " where ", parameters_[i].first, " is due");
    first_[i].copy_(first[i].second);
    second_[i].copy_(second[i].second);
  }
  updates_.fill_(updates);
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

double ema_decay_at(const TrainConfig& config, std::int64_t step) {
  return ema_decay_of(update_rules(config), step);
}

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
