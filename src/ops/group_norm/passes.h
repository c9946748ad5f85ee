// SPDX-License-Identifier: MIT
// The three passes of group normalisation with or without SiLU over a batch: on the CPU in float32
// or float64, on a GPU also in bfloat16. Images may have any layout; results are channels_last.
// Autograd does not see these functions. Formulas are in arithmetic.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/ops/ops.h"

namespace cdm::ops {

/// All but x are float32 where x is bfloat16.
struct NormCall {
  at::Tensor x;            // [B, C, H, W]
  at::Tensor gamma, beta;  // [C]
  at::Tensor shift;        // [B, C] or [1, C]; undefined: none
  bool silu;
  Dropout dropout;
  // Made by the forward pass:
  at::Tensor mean, rstd;  // [B, groups]
  /// On the CPU, the factor of each element, 0 or 1 / (1 - rate): [B, H, W, C]. On a GPU, the mask
  /// as bits (layout.h). Undefined without dropout, or where the mask is drawn again.
  at::Tensor kept;
};

/// Completes the call and returns y.
at::Tensor group_norm_forward(NormCall& call, std::int64_t groups, double eps);

/// Which sums over pixels and batch are wanted.
struct NormSums {
  bool parameters, shift;
};

/// The gradients with respect to x, gamma, beta and shift. Those that are not wanted are undefined.
struct BackwardResult {
  at::Tensor x, gamma, beta, shift;
};
BackwardResult group_norm_backward(const NormCall& call, const at::Tensor& grad_y, NormSums wanted);

/// Cotangents of a BackwardResult. An undefined one is zero.
struct NormCotangents {
  at::Tensor x, gamma, beta, shift;
};

/// The gradient of sum(v.x grad_x) + sum(v.gamma grad_gamma) + sum(v.beta grad_beta) +
/// sum(v.shift grad_shift) with respect to grad_y and what the gradients are of.
struct DoubleBackwardResult {
  at::Tensor grad_y;
  BackwardResult to;
};
DoubleBackwardResult group_norm_double_backward(const NormCall& call, const at::Tensor& grad_y,
                                                const NormCotangents& v, NormSums wanted);

}  // namespace cdm::ops
