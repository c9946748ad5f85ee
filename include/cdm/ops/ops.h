// SPDX-License-Identifier: MIT
// Twice-differentiable building blocks. Each can be differentiated with respect to every tensor
// argument, and its gradient differentiated once more.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cdm::ops {

/// x [B, in, H, W], weight [out, in, k, k], bias [out] -> [B, out, H', W']
at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t stride, std::int64_t padding);

/// Group normalisation with learned scale and shift [C], followed by SiLU where asked.
at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      std::int64_t groups, double eps, bool silu);

/// q, k, v [B, C, H, W] -> [B, C, H, W]: softmax over pixels of q.k / sqrt(C), applied to v.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

}  // namespace cdm::ops
