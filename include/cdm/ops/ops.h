// SPDX-License-Identifier: MIT
// Twice-differentiable building blocks. Each may be differentiated with respect to every tensor
// argument, and that gradient once more; one that cannot be differentiated a third time throws when
// asked to. Fused versions stand in for their plain twins (cdm::reference) where they exist: the
// convolution and the concatenation everywhere, the normalisation on the CPU, and on a GPU with
// own_cuda_kernels. set_fused(false) (in a configuration,
// operations: plain) selects the twins everywhere.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cdm::ops {

/// x [B, in, H, W], weight [out, in, k, k], bias [out] -> [B, out, H', W']
at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t stride, std::int64_t padding);

/// Group normalisation of x [B, C, H, W] with learned scale and shift [C], then SiLU.
at::Tensor group_norm_silu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           std::int64_t groups, double eps);

/// Group normalisation alone.
at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      std::int64_t groups, double eps);

/// a [B, C, H, W] and b [B, D, H, W] -> [B, C + D, H, W]
at::Tensor concat_channels(const at::Tensor& a, const at::Tensor& b);

/// q, k, v [B, C, H, W] -> [B, C, H, W]: softmax over pixels of q.k / sqrt(C), applied to v.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// Whether this process uses the fused versions. It does until it is told otherwise.
bool fused();
void set_fused(bool fused);

}  // namespace cdm::ops

namespace cdm::reference {

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t stride, std::int64_t padding);
at::Tensor group_norm_silu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           std::int64_t groups, double eps);
at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      std::int64_t groups, double eps);
at::Tensor concat_channels(const at::Tensor& a, const at::Tensor& b);

}  // namespace cdm::reference
