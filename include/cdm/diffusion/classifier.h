// SPDX-License-Identifier: MIT
// The one idea of classification diffusion models (Yadin et al., NeurIPS 2024, arXiv 2402.10095):
// a network that tells noise levels apart knows the density at each of them.
//
// With logits f of K levels and equal priors, log p_t(x) - log p_s(x) = f[t] - f[s]. The last level
// R (T+1, or T for flow matching) is a standard normal, so with F(x, t) = f[R] - f[t]:
//   log p_t(x) = log N(x; 0, I) - F(x, t)         (Theorem 3.2)
//   eps(x, t)  = sigma_t (grad_x F(x, t) + x)     (Theorem 3.1; sigma_t = sqrt(1 - abar_t) there)
//   score      = -grad_x F(x, t) - x
//   p(t | x)   = softmax(f)
// Losses, samplers and evaluation use this class only. Shapes are those of denoiser.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "cdm/diffusion/denoiser.h"

namespace cdm {

/// log N(x; 0, I) in nats, [B].
at::Tensor standard_normal_log_density(const at::Tensor& x);

class Classifier final : public Denoiser {
 public:
  /// The network is on its device and in its type by now.
  Classifier(std::shared_ptr<ClassifierNetwork> network, NoiseSchedule schedule);

  ClassifierNetwork& network() const override { return *network_; }
  const Classifier* as_classifier() const override { return this; }

  /// f(x), [B, K]. Dropout acts where `masks` are given.
  at::Tensor logits(const at::Tensor& x, const at::Tensor& labels = {},
                    DropoutMasks* masks = nullptr) const;

  /// F(x, t) = f[R] - f[t] out of logits [B, K]: [B].
  at::Tensor log_ratio(const at::Tensor& logits, const at::Tensor& t) const;

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

  /// log p(t | x), float64 [B, K]. From the logits themselves: the log densities are large numbers,
  /// in which float32 does not tell neighbouring levels apart.
  at::Tensor log_posterior(const at::Tensor& x, const at::Tensor& labels = {}) const;

  /// p(t | x), float64 [B, K].
  at::Tensor level_posterior(const at::Tensor& x, const at::Tensor& labels = {}) const;

 private:
  at::Tensor noise(const at::Tensor& x, const at::Tensor& t,
                   const at::Tensor& labels) const override;
  at::Tensor log_ratio_gradient(const at::Tensor& x, const at::Tensor& t,
                                const at::Tensor& labels) const;
  /// logits() without a graph, its rows shared out among threads.
  at::Tensor evaluate(const at::Tensor& x, const at::Tensor& labels) const;

  std::shared_ptr<ClassifierNetwork> network_;
};

}  // namespace cdm
