// SPDX-License-Identifier: MIT
// The one idea of classification diffusion models (Yadin et al., NeurIPS 2024, arXiv 2402.10095):
// a network that tells noise levels apart knows the density at each of them.
//
// With logits f of K levels and equal priors, log p_t(x) - log p_s(x) = f[t] - f[s]. The last level
// R (T+1, or T for flow matching) is a standard normal, so with F(x, t) = f[R] - f[t]:
//   log p_t(x) = log N(x; 0, I) - F(x, t)         (Theorem 3.2)
//   eps(x, t)  = sigma_t (grad_x F(x, t) + x)     (Theorem 3.1; sigma_t = sqrt(1 - abar_t) there)
//   score      = grad_x log p_t(x) = -grad_x F(x, t) - x
//   p(t | x)   = softmax(f)
//
// Guidance w replaces F of the class y by (1 + w) F(x, t, y) - w F(x, t, null). The guided density
// is then log p(x|y) (1 + w) - w log p(x), and its gradient is what a guided sampler follows. For
// w > 0 it is not normalised.
//
// Throughout: x is [B, C, H, W] in the network's type; t is int64 [B], levels in 0..K-1; labels are
// int64 [B], or undefined, which means the null class for a conditional network.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "cdm/diffusion/row_function.h"
#include "cdm/diffusion/schedule.h"
#include "cdm/model/network.h"

namespace cdm {

/// log N(x; 0, I) in nats, float64 [B].
at::Tensor standard_normal_log_density(const at::Tensor& x);

/// F(x, t) = f[R] - f[t] of logits f [B, K], whose last column is R: [B], differentiable.
at::Tensor log_ratio(const at::Tensor& logits, const at::Tensor& t);

/// Theorem 3.1: eps(x, t) from grad_x F(x, t), [B, C, H, W], differentiable.
at::Tensor noise_from_gradient(const NoiseSchedule& schedule, const at::Tensor& grad_F,
                               const at::Tensor& x, const at::Tensor& t);

/// log p_t(x) in nats, float64 [B], and its gradient by x, [B, C, H, W] in the type of x.
struct LogProbAndScore {
  at::Tensor log_prob;
  at::Tensor score;
};

/// The density of a network that predicts logits. Nothing here keeps a graph.
class Density {
 public:
  Density(std::shared_ptr<const Network> network, NoiseSchedule schedule,
          std::shared_ptr<const RowEvaluator> evaluate);

  /// log p_t(x) in nats, float64 [B]: one forward pass (two with guidance).
  at::Tensor log_prob(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels = {},
                      double guidance = 0.0) const;

  /// log p_t(x) and the score, by one forward pass and its backward pass.
  LogProbAndScore log_prob_and_score(const at::Tensor& x, const at::Tensor& t,
                                     const at::Tensor& labels = {}, double guidance = 0.0) const;

  /// log p_t(x) of every level t, float64 [B, K]: one forward pass (two with guidance).
  at::Tensor log_prob_all_levels(const at::Tensor& x, const at::Tensor& labels = {},
                                 double guidance = 0.0) const;

  /// log p(t | x), float64 [B, K]. It is computed from the logits and not from log densities: those
  /// are large numbers, in which float32 does not tell neighbouring levels apart.
  at::Tensor log_posterior(const at::Tensor& x, const at::Tensor& labels = {}) const;

  /// The noise eps(x, t), [B, C, H, W], by Theorem 3.1.
  at::Tensor noise(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                   double guidance) const;

 private:
  at::Tensor logits(const at::Tensor& x, const at::Tensor& labels, double guidance) const;
  /// F(x, t) [B] and grad_x F(x, t) [B, C, H, W].
  Tensors log_ratio_and_gradient(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                                 double guidance) const;

  std::shared_ptr<const Network> network_;
  NoiseSchedule schedule_;
  std::shared_ptr<const RowEvaluator> evaluate_;
};

}  // namespace cdm
