// SPDX-License-Identifier: MIT
// How a step changes the weights: learning rate, gradient clipping, Adam, weight decay, moving
// average.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"

namespace cdm {

/// The learning rate of step k = 0, 1, ...: learning_rate * min((k + 1) / warmup, 1) * s. warmup = 0
/// leaves its factor out. The factor s depends on learning_rate_schedule:
///
///   steps     decay_factor^floor(k / decay_every), or 1 for decay_every = 0
///   cosine    f + (1 - f) (1 + cos(pi p)) / 2
///   warmdown  f + (1 - f) min((1 - p) / warmdown, 1)
///
/// with f = final_learning_rate_factor and p = max(k / iterations, time_used), at most 1: the share
/// of the run that is done. `time_used` is the share of its time (max_minutes) that had passed
/// before the step.
double learning_rate_at(const TrainConfig& config, std::int64_t step, double time_used = 0.0);

/// Whether the learning rate depends on time_used: where a run may end by its time, and the learning
/// rate falls towards the end of the run.
bool depends_on_time(const TrainConfig& config);

/// The share of the run's time that `seconds` of training are, at most 1; 0 where the run has no
/// limit of time.
double time_used(const TrainConfig& config, double seconds);

/// Whether weight decay applies to a parameter: to matrices and convolution kernels, but not to
/// biases, normalisations and class embeddings.
bool weight_decays(const std::string& name, const at::Tensor& value);

/// Adam (Kingma and Ba, 2015) with ATen's fused kernel. It changes the parameters in place. Weight
/// decay is decoupled (AdamW; Loshchilov and Hutter, 2019): before the update, those parameters for
/// which weight_decays() are multiplied by 1 - learning_rate * weight_decay.
class Adam {
 public:
  Adam(const NamedTensors& parameters, const TrainConfig& config);

  /// One update with `gradients`, in the order of the parameters. `skipped` is a float32 scalar on
  /// the parameters' device: 1 means that nothing changes, 0 (or an undefined tensor) that the
  /// update is made. The device reads it, so the host does not wait.
  void step(const std::vector<at::Tensor>& gradients, double learning_rate,
            const at::Tensor& skipped = {});

  /// The moments under the parameters' names. Their tensors are Adam's own, not copies.
  NamedTensors first_moments() const { return with_names(first_); }
  NamedTensors second_moments() const { return with_names(second_); }
  /// Copies moments, which must have the parameters' names and order, and the number of updates
  /// that made them.
  void load(const NamedTensors& first, const NamedTensors& second, std::int64_t updates);

 private:
  NamedTensors with_names(const std::vector<at::Tensor>& tensors) const;
  /// The update of the parameters for which `decays_` is `decays`.
  void update(const std::vector<at::Tensor>& gradients, double learning_rate,
              const at::Tensor& skipped, bool decays);

  NamedTensors parameters_;
  std::vector<bool> decays_;  // all false without weight decay
  std::vector<at::Tensor> values_, first_, second_;
  at::Tensor updates_;  // number of updates made: a float32 scalar on the parameters' device
  double beta1_, beta2_, eps_, weight_decay_;
};

/// 1 if the scalar `value` is NaN or infinite, else 0: a float32 scalar on its device.
at::Tensor is_not_finite(const at::Tensor& value);

/// The Euclidean norm of all gradients together: a scalar tensor on their device.
at::Tensor gradient_norm(const std::vector<at::Tensor>& gradients);

/// Scales gradients in place so that their norm is at most `limit`. `norm` is their norm now.
void clip_gradients(const std::vector<at::Tensor>& gradients, const at::Tensor& norm, double limit);

/// The decay of the moving average in step k = 0, 1, ...: 0 while k < ema_start, so that the
/// average equals the weights; then ema_decay. With ema_warmup it is min(ema_decay, (1 + n) / (10 +
/// n)), n = k - ema_start.
double ema_decay_at(const TrainConfig& config, std::int64_t step);

/// values += share * (targets - values), in place, tensor by tensor. `share` is a scalar tensor of
/// their type on their device, so that the device can decide on it.
void move_towards(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& targets,
                  const at::Tensor& share);

/// average = decay * average + (1 - decay) * weights, in place. When `skipped` is 1, as in
/// Adam::step(), nothing changes.
void update_average(const NamedTensors& average, const NamedTensors& weights, double decay,
                    const at::Tensor& skipped = {});

}  // namespace cdm
