// SPDX-License-Identifier: MIT
// The three passes of group normalisation with or without SiLU over a batch: on the CPU in float32
// or float64, on a GPU also in bfloat16. Tensors may have any layout; results are channels_last.
// Autograd does not see these functions. Formulas are in arithmetic.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cdm::ops {

/// x [B, C, H, W]; gamma, beta [C]; mean, rstd [B, groups], which are float32 when x is bfloat16.
struct NormCall {
  at::Tensor x, gamma, beta, mean, rstd;
  bool silu;
};

struct ForwardResult {
  at::Tensor y, mean, rstd;
};
ForwardResult group_norm_forward(const at::Tensor& x, const at::Tensor& gamma,
                                 const at::Tensor& beta, std::int64_t groups, double eps,
                                 bool silu);

/// The gradients with respect to x, gamma and beta.
struct BackwardResult {
  at::Tensor x, gamma, beta;
};
BackwardResult group_norm_backward(const NormCall& call, const at::Tensor& grad_y);

/// The gradient of sum(v_x grad_x) + sum(v_gamma grad_gamma) + sum(v_beta grad_beta) with respect
/// to grad_y, x, gamma and beta.
struct DoubleBackwardResult {
  at::Tensor to_grad_y, to_x, to_gamma, to_beta;
};
DoubleBackwardResult group_norm_double_backward(const NormCall& call, const at::Tensor& grad_y,
                                                const at::Tensor& v_x, const at::Tensor& v_gamma,
                                                const at::Tensor& v_beta);

}  // namespace cdm::ops
