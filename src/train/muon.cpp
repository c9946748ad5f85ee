// SPDX-License-Identifier: MIT
#include "cdm/train/muon.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_sub.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/linalg_matrix_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "cdm/model/parameter_role.h"

namespace cdm {
namespace {

using Shape = std::pair<std::int64_t, std::int64_t>;  // rows, cols

Shape matrix_shape(const at::Tensor& value) {
  return {value.size(0), value.numel() / value.size(0)};
}

}  // namespace

at::Tensor orthogonalised(const at::Tensor& matrices) {
  constexpr int kSteps = 5;
  constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
  const bool is_tall = matrices.size(-2) > matrices.size(-1);
  at::Tensor x = is_tall ? matrices.transpose(-2, -1) : matrices;
  x = x.reshape({-1, x.size(-2), x.size(-1)});
  // The Frobenius norm is at least the largest singular value, so that the steps converge.
  x = x / (at::linalg_matrix_norm(x, "fro", {-2, -1}, /*keepdim=*/true) + 1e-7);
  if (x.is_cuda() && x.scalar_type() == at::kFloat) x = x.to(at::kBFloat16);
  for (int i = 0; i < kSteps; ++i) {
    const at::Tensor a = at::bmm(x, x.transpose(1, 2));
    const at::Tensor b = at::baddbmm(a, a, a, kB, kC);  // kB a + kC a a
    x = at::baddbmm(x, b, x, kA);                       // kA x + b x
  }
  x = x.to(matrices.scalar_type());
  if (is_tall) x = x.transpose(1, 2);
  return x.reshape(matrices.sizes());
}

bool is_for_muon(const TrainConfig& config, const std::string& name, const at::Tensor& value) {
  return config.optimizer == OptimizerKind::muon && role_of(name, value) == ParameterRole::hidden;
}

Muon::Muon(const NamedTensors& parameters, const TrainConfig& config)
    : parameters_(parameters), momentum_(config.muon_momentum), weight_decay_(config.weight_decay) {
  std::map<Shape, Group> groups;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, value] = parameters_[i];
    if (!is_for_muon(config, name, value)) continue;
    Group& group = groups[matrix_shape(value)];
    group.parameters.push_back(i);
    group.values.push_back(value);
  }
  for (auto& [shape, group] : groups) {
    group.momentum =
        at::zeros({static_cast<std::int64_t>(group.parameters.size()), shape.first, shape.second},
                  group.values.front().options().requires_grad(false));
    groups_.push_back(std::move(group));
  }
}

void Muon::step(const std::vector<at::Tensor>& gradients, const at::Tensor& learning_rate,
                const at::Tensor& skipped, const at::Tensor& clip) {
  const c10::NoGradGuard no_grad;
  const at::Tensor is_skipped = skipped.to(at::kBool);
  for (const Group& group : groups_) {
    const at::Tensor& momentum = group.momentum;
    const at::Tensor rate = learning_rate.to(momentum.scalar_type());
    std::vector<at::Tensor> matrices;
    for (const std::size_t i : group.parameters) {
      matrices.push_back(gradients[i].reshape({momentum.size(1), momentum.size(2)}));
    }
    at::Tensor gradient = at::stack(matrices);
    if (clip.defined()) gradient = gradient * clip.to(gradient.scalar_type());
    // In a skipped step the gradient may be NaN, which a factor of 0 would not remove.
    momentum.copy_(at::where(is_skipped, momentum, at::lerp(gradient, momentum, momentum_)));
    const double scale =
        0.2 * std::sqrt(static_cast<double>(std::max(momentum.size(1), momentum.size(2))));
    const at::Tensor update =
        (orthogonalised(at::lerp(gradient, momentum, momentum_)) * (rate * scale))
            .masked_fill(is_skipped, 0.0);
    if (weight_decay_ > 0.0) {
      const at::Tensor kept = 1.0 - (rate * weight_decay_).masked_fill(is_skipped, 0.0);
      at::_foreach_mul_(group.values, kept);
    }
    std::vector<at::Tensor> updates = update.unbind();
    for (std::size_t k = 0; k < updates.size(); ++k) {
      updates[k] = updates[k].view(group.values[k].sizes());
    }
    at::_foreach_sub_(group.values, updates);
  }
}

NamedTensors Muon::momenta() const {
  NamedTensors named(parameters_.size());
  for (const Group& group : groups_) {
    for (std::size_t k = 0; k < group.parameters.size(); ++k) {
      const auto& [name, value] = parameters_[group.parameters[k]];
      named[group.parameters[k]] = {
          name, group.momentum[static_cast<std::int64_t>(k)].view(value.sizes())};
    }
  }
  std::erase_if(named, [](const auto& entry) { return !entry.second.defined(); });
  return named;
}

}  // namespace cdm
