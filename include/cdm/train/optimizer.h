// SPDX-License-Identifier: MIT
// What happens to the weights in a step: learning rate, gradient clipping, Adam, moving average.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"

namespace cdm {

/// Learning rate of step k = 0, 1, ...: learning_rate * min((k + 1) / warmup, 1) *
/// decay_factor^floor(k / decay_every).
double learning_rate_at(const TrainConfig& config, std::int64_t step);

/// Adam (Kingma and Ba, 2015), by ATen's fused kernel, over parameters that it changes in place.
class Adam {
 public:
  Adam(const NamedTensors& parameters, const TrainConfig& config);

  /// One update with gradients in the parameters' order. Where `skipped` (a float32 scalar on the
  /// parameters' device) is 1, nothing changes, whatever the gradients are; where it is 0 or
  /// undefined, the update is made. The device decides, so nobody waits for it.
  void step(const std::vector<at::Tensor>& gradients, double learning_rate,
            const at::Tensor& skipped = {});

  /// First and second moments under the parameters' names, and how many updates they have seen.
  NamedTensors first_moments() const { return with_names(first_); }
  NamedTensors second_moments() const { return with_names(second_); }
  void load(const NamedTensors& first, const NamedTensors& second, std::int64_t updates);

 private:
  NamedTensors with_names(const std::vector<at::Tensor>& tensors) const;

  NamedTensors parameters_;
  std::vector<at::Tensor> values_, first_, second_;
  at::Tensor updates_;  // how many were made: a float32 scalar on the parameters' device
  double beta1_, beta2_, eps_;
};

/// 1 where the scalar `value` is NaN or infinite, else 0: a float32 scalar on its device.
at::Tensor is_not_finite(const at::Tensor& value);

/// The norm of all gradients together: a scalar tensor on their device.
at::Tensor gradient_norm(const std::vector<at::Tensor>& gradients);

/// Scales gradients in place so that their norm, given as `norm`, is at most `limit`.
void clip_gradients(const std::vector<at::Tensor>& gradients, const at::Tensor& norm, double limit);

/// Decay of the moving average after step k. Until step ema_start the average is the weights
/// themselves (0); then it is ema_decay, warmed up as min(ema_decay, (1 + n) / (10 + n)), n steps
/// after the start, where ema_warmup asks for that.
double ema_decay_at(const TrainConfig& config, std::int64_t step);

/// average = decay * average + (1 - decay) * weights, in place; nothing where `skipped` is 1, as for
/// Adam::step.
void update_average(const NamedTensors& average, const NamedTensors& weights, double decay,
                    const at::Tensor& skipped = {});

}  // namespace cdm
