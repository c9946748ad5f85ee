// SPDX-License-Identifier: MIT
// The arithmetic of an update of the weights, shared by the CPU and the CUDA kernels: learning
// rate, decay of the average, clipping, Adam (Kingma and Ba, 2015), decoupled weight decay
// (Loshchilov and Hutter, 2019) and the moving averages.
#pragma once

#include <cmath>
#include <cstdint>

#include "cdm/config/config.h"
#include "device/host_device.h"

namespace cdm {

/// What stays the same in all updates of a run. The fields are those of TrainConfig.
struct UpdateRules {
  double learning_rate;
  std::int64_t warmup;
  LearningRateSchedule schedule;
  std::int64_t decay_every;
  double decay_factor;
  std::int64_t iterations;
  double final_factor, warmdown;
  double beta1, beta2, eps;
  double weight_decay;
  double clip_grad_norm;  // 0 = no clipping
  AverageKind ema_kind;
  bool ema_warmup;
  std::int64_t ema_start;
  std::int64_t averages;            // their number
  double ema_decay[kMostAverages];  // of each average; power: its exponent gamma + 1
};

/// What the update of one step is made with.
struct UpdateFactors {
  double clip;       // what each gradient is multiplied by
  double step_size;  // learning rate / (1 - beta1^n), n = the number of updates with this one
  double root;       // sqrt(1 - beta2^n)
  double decay;      // learning rate * weight_decay: the share of a weight that is taken off it
  double learning_rate;
  double share[kMostAverages];  // of each average: average += share * (weight - average)
  double skipped;               // 1: nothing changes
};

/// The share of the run that is done before step `step`: of its steps, or of its time
/// (`time_used`), whichever is more. In [0, 1].
CDM_HOST_DEVICE inline double share_done(const UpdateRules& rules, std::int64_t step,
                                         double time_used) {
  double share = 1.0;
  if (step < rules.iterations) {
    share = static_cast<double>(step) / static_cast<double>(rules.iterations);
  }
  return share > time_used ? share : time_used < 1.0 ? time_used : 1.0;
}

/// The factor of the learning rate that train.learning_rate_schedule gives.
CDM_HOST_DEVICE inline double schedule_factor(const UpdateRules& rules, std::int64_t step,
                                              double time_used) {
  constexpr double kPi = 3.14159265358979323846;
  double height = 1.0;  // from 1 at the full rate to 0 at the final one
  switch (rules.schedule) {
    case LearningRateSchedule::steps: {
      const std::int64_t decays = rules.decay_every > 0 ? step / rules.decay_every : 0;
      return ::pow(rules.decay_factor, static_cast<double>(decays));
    }
    case LearningRateSchedule::cosine:
      height = 0.5 * (1.0 + ::cos(kPi * share_done(rules, step, time_used)));
      break;
    case LearningRateSchedule::warmdown: {
      const double left = 1.0 - share_done(rules, step, time_used);
      if (left < rules.warmdown) height = left / rules.warmdown;
      break;
    }
  }
  return rules.final_factor + (1.0 - rules.final_factor) * height;
}

/// See learning_rate_at() in optimizer.h.
CDM_HOST_DEVICE inline double learning_rate_of(const UpdateRules& rules, std::int64_t step,
                                               double time_used) {
  double warmup = 1.0;
  if (rules.warmup > 0) {
    warmup = static_cast<double>(step + 1) / static_cast<double>(rules.warmup);
    if (warmup > 1.0) warmup = 1.0;
  }
  return rules.learning_rate * warmup * schedule_factor(rules, step, time_used);
}

/// See ema_decay_at() in optimizer.h. `average` is the number of the average.
CDM_HOST_DEVICE inline double ema_decay_of(const UpdateRules& rules, std::int64_t average,
                                           std::int64_t step) {
  const double decay = rules.ema_decay[average];
  if (rules.ema_kind == AverageKind::power) {
    return ::pow(1.0 - 1.0 / static_cast<double>(step + 1), decay);
  }
  if (step < rules.ema_start) return 0.0;
  if (!rules.ema_warmup) return decay;
  const auto n = static_cast<double>(step - rules.ema_start);
  const double early = (1.0 + n) / (10.0 + n);
  return early < decay ? early : decay;
}

/// False for NaN and infinity.
template <class T>
CDM_HOST_DEVICE inline bool is_finite(T value) {
  return value - value == T(0);
}

/// The factors of step `step` (0, 1, ...), before which `updates` updates were made and the share
/// `time_used` of the run's time had passed. `norm` is the norm of all gradients together. A loss
/// or norm that is not finite makes the step a skipped one.
template <class T>
CDM_HOST_DEVICE inline UpdateFactors update_factors(const UpdateRules& rules, std::int64_t step,
                                                    std::int64_t updates, double time_used, T norm,
                                                    T loss) {
  UpdateFactors factors;
  factors.skipped = is_finite(norm) && is_finite(loss) ? 0.0 : 1.0;
  factors.clip = 1.0;
  if (rules.clip_grad_norm > 0.0) {
    // The constant 1e-6 and the limit of 1 are those of torch.nn.utils.clip_grad_norm_.
    const T clip = T(1) / (norm + T(1e-6)) * T(rules.clip_grad_norm);
    if (clip < T(1)) factors.clip = static_cast<double>(clip);
  }
  const auto n = static_cast<double>(updates + 1);
  factors.learning_rate = learning_rate_of(rules, step, time_used);
  factors.step_size = factors.learning_rate / (1.0 - ::pow(rules.beta1, n));
  factors.root = ::sqrt(1.0 - ::pow(rules.beta2, n));
  factors.decay = factors.learning_rate * rules.weight_decay;
  for (std::int64_t i = 0; i < rules.averages; ++i) {
    factors.share[i] = 1.0 - ema_decay_of(rules, i, step);
  }
  return factors;
}

/// from + share * (to - from), exactly `to` for share = 1.
template <class T>
CDM_HOST_DEVICE inline T moved(T from, T to, T share) {
  return share < T(0.5) ? from + share * (to - from) : to - (to - from) * (T(1) - share);
}

/// A weight and Adam's moments of it.
template <class T>
struct WeightState {
  T weight, first, second;
};

/// Adam, with the factors in the type of the weights.
template <class T>
struct UpdateOf {
  T clip, towards_first, beta2, towards_second, step_size, root, eps, kept;

  CDM_HOST_DEVICE UpdateOf(const UpdateRules& rules, const UpdateFactors& factors)
      : clip(T(factors.clip)),
        towards_first(T(1.0 - rules.beta1)),
        beta2(T(rules.beta2)),
        towards_second(T(1.0 - rules.beta2)),
        step_size(T(factors.step_size)),
        root(T(factors.root)),
        eps(T(rules.eps)),
        kept(T(1.0 - factors.decay)) {}

  /// Updates one weight by its gradient. `decays` says whether the weight decays.
  CDM_HOST_DEVICE void operator()(WeightState<T>& state, T gradient, bool decays) const {
    const T g = gradient * clip;
    state.first = moved(state.first, g, towards_first);
    state.second = beta2 * state.second + towards_second * g * g;
    const T denominator = ::sqrt(state.second) / root + eps;
    if (decays) state.weight *= kept;
    state.weight -= step_size * state.first / denominator;
  }
};

}  // namespace cdm
