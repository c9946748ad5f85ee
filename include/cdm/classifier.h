// SPDX-License-Identifier: MIT
// The one idea of classification diffusion models (Yadin et al., NeurIPS 2024, arXiv 2402.10095):
// a network that tells noise levels apart knows the density at each of them.
//
// With logits f of K = T+2 levels and equal priors, log p_t(x) - log p_s(x) = f[t] - f[s]. Level
// T+1 is a standard normal, so with F(x, t) = f[T+1] - f[t]:
//   log p_t(x) = log N(x; 0, I) - F(x, t)                    (Theorem 3.2)
//   eps(x, t)  = sqrt(1 - abar_t) (grad_x F(x, t) + x)       (Theorem 3.1)
//   score      = -grad_x F(x, t) - x
//   p(t | x)   = softmax(f)
// Losses, samplers and evaluation use this class only.
//
// Throughout: x is [B, C, H, W]; t is int64 [B], levels in 0..T+1; labels are int64 [B], or
// undefined for an unconditional network. Undefined labels mean the null class for a conditional
// one.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "cdm/diffusion/schedule.h"
#include "cdm/model/network.h"

namespace cdm {

/// log N(x; 0, I) in nats, [B].
at::Tensor standard_normal_log_density(const at::Tensor& x);

class Classifier {
 public:
  /// The network is on its device and in its type by now.
  Classifier(std::shared_ptr<Network> network, NoiseSchedule schedule);

  const NoiseSchedule& schedule() const { return schedule_; }
  Network& network() const { return *network_; }

  /// f(x), [B, K]. Dropout acts where `masks` are given.
  at::Tensor logits(const at::Tensor& x, const at::Tensor& labels = {},
                    DropoutMasks* masks = nullptr) const;

  /// F(x, t) = f[T+1] - f[t] out of logits [B, K]: [B].
  at::Tensor log_ratio(const at::Tensor& logits, const at::Tensor& t) const;

  /// eps(x, t), [B, C, H, W], detached. With guidance w, (1 + w) eps(x, t, labels) - w eps(x, t,
  /// null).
  at::Tensor predict_noise(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels = {},
                           double guidance = 0.0) const;

  /// eps out of grad_x F(x, t): the formula of Theorem 3.1, differentiable.
  at::Tensor noise_from_gradient(const at::Tensor& grad_F, const at::Tensor& x,
                                 const at::Tensor& t) const;

  /// grad_x log p_t(x), [B, C, H, W], detached.
  at::Tensor score(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels = {}) const;

  /// log p_t(x) in nats, [B], by one forward pass without a graph.
  at::Tensor log_prob(const at::Tensor& x, const at::Tensor& t,
                      const at::Tensor& labels = {}) const;

  /// log p_t(x) of every level, [B, K], by the same pass.
  at::Tensor log_prob_all_levels(const at::Tensor& x, const at::Tensor& labels = {}) const;

  /// p(t | x), [B, K].
  at::Tensor level_posterior(const at::Tensor& x, const at::Tensor& labels = {}) const;

 private:
  at::Tensor log_ratio_gradient(const at::Tensor& x, const at::Tensor& t,
                                const at::Tensor& labels) const;
  /// logits() without a graph, its rows shared out among threads.
  at::Tensor evaluate(const at::Tensor& x, const at::Tensor& labels) const;

  std::shared_ptr<Network> network_;
  NoiseSchedule schedule_;
};

}  // namespace cdm
