// SPDX-License-Identifier: MIT
// The fused versions of the operations in ops.h, which calls them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cdm::ops {

at::Tensor fused_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        std::int64_t stride, std::int64_t padding);

at::Tensor fused_upsample_conv2d(const at::Tensor& x, const at::Tensor& weight,
                                 const at::Tensor& bias);

at::Tensor fused_mean_of_conv2d(const at::Tensor& x, const at::Tensor& weight,
                                const at::Tensor& bias);

at::Tensor fused_pad_after(const at::Tensor& x);

at::Tensor fused_concat_channels(const at::Tensor& a, const at::Tensor& b);

/// All tensors are float32 or float64; on a GPU bfloat16 is also possible. `silu` says whether SiLU
/// follows.
at::Tensor fused_group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            std::int64_t groups, double eps, bool silu);

}  // namespace cdm::ops
