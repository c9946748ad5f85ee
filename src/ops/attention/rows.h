// SPDX-License-Identifier: MIT
// What lies between the matrix products of attention: the softmax of each row with its scale, and
// its derivatives. Formulas are in launch.h. Autograd does not see these functions. They are own
// kernels on a GPU where these are on, and ATen's operations elsewhere. Tensors are contiguous
// [B, rows, columns], in float32, float64 or bfloat16.
#pragma once

#include <ATen/core/Tensor.h>

namespace cdm::ops {

/// softmax(scale s) over columns. `s` may be overwritten.
at::Tensor softmax_rows(const at::Tensor& s, double scale);

/// dS from P and dP. `grad_p` may be overwritten.
at::Tensor softmax_rows_gradient(const at::Tensor& p, const at::Tensor& grad_p, double scale);

/// dL/d(dP) and dL/dS from P, dS, A and G. `a` and `g` may be overwritten.
struct SoftmaxSecondResult {
  at::Tensor to_grad_p, to_s;
};
SoftmaxSecondResult softmax_rows_second(const at::Tensor& p, const at::Tensor& grad_s,
                                        const at::Tensor& a, const at::Tensor& g, double scale);

}  // namespace cdm::ops
