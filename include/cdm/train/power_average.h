// SPDX-License-Identifier: MIT
// Averages of the weights with a power profile, and averages of any width made of stored ones
// (Karras et al., 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models", arXiv
// 2312.02696, section 3 and appendix C).
//
// After t steps, an average with exponent gamma weighs the weights after step tau = 1 .. t by
// (tau^(gamma + 1) - (tau - 1)^(gamma + 1)) / t^(gamma + 1): the integral over [tau - 1, tau] of
// the profile p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1). The decays (1 - 1/tau)^(gamma + 1)
// give exactly these weights. The profile has the same shape for every t. Its standard deviation is
// sigma_rel * t.
#pragma once

#include <cstdint>
#include <vector>

namespace cdm {

/// The exponent gamma of the profile whose standard deviation is sigma_rel * t:
/// sigma_rel^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)). sigma_rel lies above 0 and below
/// 1/sqrt(12), where gamma is 0 and all steps weigh the same.
double gamma_of(double sigma_rel);

/// The average after `step` steps whose width is sigma_rel * step.
struct PowerProfile {
  std::int64_t step;  // t, at least 1
  double sigma_rel;
};

/// An average as a sum of other averages.
struct Combination {
  std::vector<double> factors;  // of the others
  /// The norm of the difference between the profile of the sum and the wanted one, divided by the
  /// norm of the wanted one. 0 = the sum is the wanted average.
  double error;
};

/// The combination of averages with the profiles `stored` whose profile is nearest to `wanted`
/// (least squares over [0, t]). `stored` must not be empty.
Combination combine(const std::vector<PowerProfile>& stored, const PowerProfile& wanted);

}  // namespace cdm
