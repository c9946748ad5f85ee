// SPDX-License-Identifier: MIT
// The idea of classification diffusion models (Yadin et al., NeurIPS 2024, arXiv 2402.10095): a
// network that classifies the noise level of an image gives the density of images at each level.
//
// With logits f of K levels and equal priors, log p_t(x) - log p_s(x) = f[t] - f[s]. At the last
// level R (T+1, or T for flow matching), images are standard normal. With F(x, t) = f[R] - f[t]:
//   log p_t(x) = log N(x; 0, I) - F(x, t)         (Theorem 3.2)
//   eps(x, t)  = sigma_t (grad_x F(x, t) + x)     (Theorem 3.1; sigma_t = sqrt(1 - abar_t) there)
//   score      = grad_x log p_t(x) = -grad_x F(x, t) - x
//   p(t | x)   = softmax(f)
//
// Guidance w replaces F of class y by (1 + w) F(x, t, y) - w F(x, t, null). The guided log density
// is (1 + w) log p_t(x|y) - w log p_t(x), and a guided sampler follows its gradient. For w > 0 it
// is not normalised.
//
// Everywhere here: x is [B, C, H, W] in the network's type. t is int64 [B], levels in 0..K-1.
// Labels are int64 [B]; undefined labels mean the null class of a conditional network.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "cdm/diffusion/row_function.h"
#include "cdm/diffusion/schedule.h"
#include "cdm/model/network.h"

namespace cdm {

/// log N(x; 0, I) in nats, float64 [B].
at::Tensor standard_normal_log_density(const at::Tensor& x);

/// F(x, t) = f[R] - f[t], [B], of logits f [B, K], whose last column is that of R. Differentiable.
at::Tensor log_ratio(const at::Tensor& logits, const at::Tensor& t);

/// Theorem 3.1: eps(x, t), [B, C, H, W], from grad_x F(x, t), [B, C, H, W]. Differentiable.
at::Tensor noise_from_gradient(const NoiseSchedule& schedule, const at::Tensor& grad_F,
                               const at::Tensor& x, const at::Tensor& t);

struct LogProbAndScore {
  at::Tensor log_prob;  // log p_t(x) in nats, float64 [B]
  at::Tensor score;     // its gradient with respect to x, [B, C, H, W] in the type of x
};

/// The density of a network that predicts logits. Results are not to be differentiated: the network
/// is evaluated without an autograd graph.
class Density {
 public:
  Density(std::shared_ptr<const Network> network, NoiseSchedule schedule,
          std::shared_ptr<const RowEvaluator> evaluate);

  /// log p_t(x) in nats, float64 [B]: one forward pass (two with guidance).
  at::Tensor log_prob(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels = {},
                      double guidance = 0.0) const;

  /// log p_t(x) and the score: one forward and one backward pass (two of each with guidance).
  LogProbAndScore log_prob_and_score(const at::Tensor& x, const at::Tensor& t,
                                     const at::Tensor& labels = {}, double guidance = 0.0) const;

  /// log p_t(x) of every level t, float64 [B, K]: one forward pass (two with guidance).
  at::Tensor log_prob_all_levels(const at::Tensor& x, const at::Tensor& labels = {},
                                 double guidance = 0.0) const;

  /// log p(t | x), float64 [B, K]. It is computed from the logits, not from log densities: float32
  /// rounds those large numbers so much that neighbouring levels would not differ.
  at::Tensor log_posterior(const at::Tensor& x, const at::Tensor& labels = {}) const;

  /// The noise eps(x, t), [B, C, H, W], by Theorem 3.1: one forward and one backward pass (two of
  /// each with guidance).
  at::Tensor noise(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                   double guidance) const;

 private:
  /// f, [B, K] in the network's type.
  at::Tensor logits(const at::Tensor& x, const at::Tensor& labels, double guidance) const;
  /// F(x, t), [B], and grad_x F(x, t), [B, C, H, W].
  Tensors log_ratio_and_gradient(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                                 double guidance) const;

  std::shared_ptr<const Network> network_;
  NoiseSchedule schedule_;
  std::shared_ptr<const RowEvaluator> evaluate_;
};

}  // namespace cdm
