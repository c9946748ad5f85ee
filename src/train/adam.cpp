// SPDX-License-Identifier: MIT
#include "cdm/train/adam.h"

#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <optional>

#include "cdm/model/parameter_role.h"

namespace cdm {

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
    const std::vector<at::Tensor> no_maxima;
    const std::optional<at::Tensor> no_scale;
    kernel(values, chosen(gradients), chosen(first_), chosen(second_), no_maxima, updates,
           learning_rate, beta1_, beta2_, weight_decay, eps_, /*amsgrad=*/false,
           /*maximize=*/false, no_scale, skipped.defined() ? std::optional(skipped) : std::nullopt);
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

}  // namespace cdm
