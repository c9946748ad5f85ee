// SPDX-License-Identifier: MIT
// How an objective draws the noise levels of the rows, and what a level weighs in the denoising
// error.
//
// Where levels are drawn with unequal probabilities q_t, a classifier of the level learns
// log(q_t p_t(x)) plus a constant. So log q_t is added to its logits in the loss:
//   p(t | x) = softmax(f + log q)
// Then f itself keeps its meaning, f[t] - f[s] = log p_t(x) - log p_s(x).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/config/config.h"
#include "cdm/diffusion/objective.h"
#include "cdm/diffusion/schedule.h"

namespace cdm {

class LevelDraws {
 public:
  /// Levels first .. first + count - 1.
  ///   uniform  all are equally likely
  ///   log_snr  levels with both image and noise have a probability in proportion to their weight
  ///            NoiseSchedule::log_snr_weights(). The ends, data and reference, have none there.
  ///            Each of them that is among the levels keeps the probability 1 / count.
  LevelDraws(LevelSampling sampling, LevelDensity density, const NoiseSchedule& schedule,
             std::int64_t first, std::int64_t count);

  /// The level of each row: int64 [B].
  at::Tensor operator()(const RowDraws& draws) const;

  /// q_t of all levels: float64 [K], CPU; 0 for levels that are not drawn.
  const at::Tensor& probability() const { return probability_; }

  /// f + log q of logits f [B, K] of all levels. All K levels must be drawn. (Where all are equally
  /// likely, that is f: a constant changes no loss.)
  at::Tensor with_prior(const at::Tensor& f) const;

 private:
  bool independent_, uniform_;
  std::int64_t first_, count_;
  at::Tensor probability_;  // float64 [K], CPU
  at::Tensor cumulative_;   // float64 [count]: sums of the probabilities, with the schedule
  at::Tensor log_prior_;    // [K], with the schedule
};

/// What the squared error of the noise weighs at each level: [K], with the schedule's tables.
/// Undefined for mse_weighting = flat.
///   likelihood  w_t = d_t / (q_t sum of d) at the drawn levels with both image and noise, 0
///               elsewhere; d_t is the level's part of the integral over the log-SNR in the bound
///               on -log p(x_0) (Kingma et al., 2021, arXiv 2107.00630). Its mean under q is 1.
///   min_snr     w_t = min(SNR_t, gamma) / SNR_t, with SNR = signal^2 / sigma^2 (Hang et al., 2023,
///               arXiv 2303.09556, for the prediction of the noise)
at::Tensor mse_weights(const LossConfig& config, const NoiseSchedule& schedule,
                       const at::Tensor& probability);

}  // namespace cdm
