// SPDX-License-Identifier: MIT
#include "cdm/train/power_average.h"

#include <ATen/ops/linalg_lstsq.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <tuple>

namespace cdm {
namespace {

/// The integral of the product of two profiles over [0, min(t_a, t_b)].
double inner_product(const PowerProfile& a, const PowerProfile& b) {
  const PowerProfile& shorter = a.step < b.step ? a : b;
  const PowerProfile& longer = a.step < b.step ? b : a;
  const double gamma_s = gamma_of(shorter.sigma_rel);
  const double gamma_l = gamma_of(longer.sigma_rel);
  const double ratio = static_cast<double>(shorter.step) / static_cast<double>(longer.step);
  return (gamma_s + 1.0) * (gamma_l + 1.0) / (gamma_s + gamma_l + 1.0) * std::pow(ratio, gamma_l) /
         static_cast<double>(longer.step);
}

}  // namespace

double gamma_of(double sigma_rel) {
  TORCH_CHECK(sigma_rel > 0.0 && sigma_rel < 1.0 / std::sqrt(12.0),
              "sigma_rel must lie between 0 and 1/sqrt(12), not ", sigma_rel);
  const auto variance = [](double gamma) {
    return (gamma + 1.0) / ((gamma + 2.0) * (gamma + 2.0) * (gamma + 3.0));
  };
  // It falls as gamma grows: at 0 it is 1/12, and it is always below 1 / gamma^2.
  double low = 0.0;
  double high = 1.0 / sigma_rel;
  constexpr int kHalvings = 200;  // until no number lies between the two
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = 0.5 * (low + high);
    (variance(middle) > sigma_rel * sigma_rel ? low : high) = middle;
  }
  return high;
}

Combination combine(const std::vector<PowerProfile>& stored, const PowerProfile& wanted) {
  TORCH_CHECK(!stored.empty(), "there is no average to combine");
  const auto norm = [](const PowerProfile& profile) {
    return std::sqrt(inner_product(profile, profile));
  };
  // With y_i = x_i |p_i| / |p|, the distance is |sum_i y_i p_i/|p_i| - p/|p||. It is smallest under
  // sum_i x_i = 1 where the derivatives with respect to y and a Lagrange multiplier are 0.
  const std::size_t n = stored.size();
  const auto size = static_cast<std::int64_t>(n) + 1;
  const at::Tensor system = at::zeros({size, size}, at::kDouble);
  const at::Tensor right = at::ones({size, 1}, at::kDouble);
  auto* const rows = system.mutable_data_ptr<double>();
  auto* const towards = right.mutable_data_ptr<double>();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < n; ++k) {
      rows[i * (n + 1) + k] =
          inner_product(stored[i], stored[k]) / (norm(stored[i]) * norm(stored[k]));
    }
    towards[i] = inner_product(stored[i], wanted) / (norm(stored[i]) * norm(wanted));
    rows[i * (n + 1) + n] = rows[n * (n + 1) + i] = norm(wanted) / norm(stored[i]);
  }
  // Profiles of neighbouring steps are nearly the same, so the smallest singular values are noise.
  constexpr double kSmallest = 1e-12;
  const at::Tensor solution =
      std::get<0>(at::linalg_lstsq(system, right, kSmallest, "gelsd")).contiguous();
  const auto* const y = solution.const_data_ptr<double>();
  Combination result;
  double squared = 1.0;
  for (std::size_t i = 0; i < n; ++i) {
    result.factors.push_back(y[i] * norm(wanted) / norm(stored[i]));
    squared -= 2.0 * y[i] * towards[i];
    for (std::size_t k = 0; k < n; ++k) squared += y[i] * rows[i * (n + 1) + k] * y[k];
  }
  result.error = std::sqrt(std::max(squared, 0.0));
  return result;
}

}  // namespace cdm
