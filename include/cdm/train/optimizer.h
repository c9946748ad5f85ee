// SPDX-License-Identifier: MIT
// How a step changes the weights: learning rate, gradient clipping, optimizer, moving averages.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"
#include "cdm/train/adam.h"
#include "cdm/train/muon.h"

namespace cdm {

/// The learning rate of step k = 0, 1, ...: learning_rate * min((k + 1) / warmup, 1) * s. warmup =
/// 0 leaves its factor out. The factor s depends on learning_rate_schedule:
///
///   steps     decay_factor^floor(k / decay_every), or 1 for decay_every = 0
///   cosine    f + (1 - f) (1 + cos(pi p)) / 2
///   warmdown  f + (1 - f) min((1 - p) / warmdown, 1)
///
/// with f = final_learning_rate_factor and p = max(k / iterations, time_used), at most 1: the share
/// of the run that is done. `time_used` is the share of its time (max_minutes) that had passed
/// before the step.
double learning_rate_at(const TrainConfig& config, std::int64_t step, double time_used = 0.0);

/// Whether the learning rate depends on time_used: where a run may end by its time, and the
/// learning rate falls towards the end of the run.
bool depends_on_time(const TrainConfig& config);

/// The share of the run's time that `seconds` of training are, at most 1; 0 where the run has no
/// limit of time.
double time_used(const TrainConfig& config, double seconds);

/// What turns gradients into changes of the weights, as config.optimizer says: Adam for all of
/// them, or Muon for those for which is_for_muon() and Adam for the others.
class Optimizer {
 public:
  Optimizer(const NamedTensors& parameters, const TrainConfig& config);

  /// One update with `gradients`, in the order of the parameters. `skipped` is as in Adam::step().
  void step(const std::vector<at::Tensor>& gradients, double learning_rate,
            const at::Tensor& skipped);

  /// The first moments of all parameters in their order: Adam's, or Muon's momenta.
  NamedTensors first_moments() const;
  /// The second moments of the parameters that Adam updates.
  NamedTensors second_moments() const { return adam_->second_moments(); }
  /// Copies such moments, and the number of updates that made them.
  void load(const NamedTensors& first, const NamedTensors& second, std::int64_t updates);

  /// Null when Adam updates all weights.
  Muon* muon() { return muon_.is_empty() ? nullptr : &muon_; }

 private:
  NamedTensors parameters_;
  std::vector<bool> is_for_muon_;
  std::optional<Adam> adam_;
  Muon muon_;
};

/// 1 if the scalar `value` is NaN or infinite, else 0: a float32 scalar on its device.
at::Tensor is_not_finite(const at::Tensor& value);

/// The Euclidean norm of all gradients together: a scalar tensor on their device.
at::Tensor gradient_norm(const std::vector<at::Tensor>& gradients);

/// Scales gradients in place so that their norm is at most `limit`. `norm` is their norm now.
void clip_gradients(const std::vector<at::Tensor>& gradients, const at::Tensor& norm, double limit);

/// The number of moving averages of the weights that are kept: at least 1.
std::int64_t average_count(const TrainConfig& config);

/// The decay of moving average number `average` = 0, 1, ... in step k = 0, 1, .... It depends on
/// ema_kind:
///
///   exponential  0 while k < ema_start, so that the average equals the weights; then d, which is
///                ema_decay for the first average and those of ema_more_decays for the others. With
///                ema_warmup it is min(d, (1 + n) / (10 + n)), n = k - ema_start.
///   power        (1 - 1/(k + 1))^(gamma + 1), where gamma belongs to ema_sigma_rel[average]; see
///                power_average.h
double ema_decay_at(const TrainConfig& config, std::int64_t step, std::int64_t average = 0);

/// values += share * (targets - values), in place, tensor by tensor. `share` is a scalar tensor of
/// their type on their device, so that the device can decide on it.
void move_towards(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& targets,
                  const at::Tensor& share);

/// average = decay * average + (1 - decay) * weights, in place. When `skipped` is 1, as in
/// Adam::step(), nothing changes.
void update_average(const NamedTensors& average, const NamedTensors& weights, double decay,
                    const at::Tensor& skipped = {});

}  // namespace cdm
