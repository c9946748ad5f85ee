// SPDX-License-Identifier: MIT
// Formulas that several samplers use, for a step from level t to level s < t.
#pragma once

#include <ATen/TensorOperators.h>

#include <cmath>

#include "cdm/sample/sampler.h"

namespace cdm {

/// The variance of q(x_s | x_t, x_0): sigma_s^2 (sigma_t^2 - r^2 sigma_s^2) / sigma_t^2 with
/// r = signal_t / signal_s. For neighbouring levels it is beta_tilde of Ho et al. (2020), equation
/// 7.
inline double posterior_variance(const Level& t, const Level& s) {
  const double ratio = t.signal / s.signal;
  const double added = t.sigma * t.sigma - std::pow(ratio * s.sigma, 2);
  return std::pow(s.sigma / t.sigma, 2) * added;
}

/// The first-order step on the probability flow: x_s = signal_s x_0 + sigma_s eps, with the
/// prediction `at_t`. For s = 0 it is the prediction of x_0.
inline at::Tensor first_order_step(const Denoised& at_t, const Level& s) {
  if (s.t == 0) return at_t.x0;
  return s.signal * at_t.x0 + s.sigma * at_t.eps;
}

}  // namespace cdm
