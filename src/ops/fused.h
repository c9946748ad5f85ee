// SPDX-License-Identifier: MIT
// The fused versions of the operations in ops.h, which calls them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/ops/ops.h"

namespace cdm::ops {

at::Tensor fused_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        std::int64_t stride, std::int64_t padding);
/// The same for a kernel of one pixel, as a product of matrices. fused_conv2d() calls it where that
/// is faster.
at::Tensor pixel_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// The gradient by the weight, where grad_y is that of the convolution of x. Its derivatives are
/// ATen's.
at::Tensor weight_gradient(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                           std::int64_t stride, std::int64_t padding);

at::Tensor fused_upsample_conv2d(const at::Tensor& x, const at::Tensor& weight,
                                 const at::Tensor& bias);

at::Tensor fused_mean_of_conv2d(const at::Tensor& x, const at::Tensor& weight,
                                const at::Tensor& bias);

at::Tensor fused_inner_product_of_conv2d(const at::Tensor& h, const at::Tensor& x,
                                         const at::Tensor& weight, const at::Tensor& bias);

at::Tensor fused_pad_after(const at::Tensor& x);

at::Tensor fused_concat_channels(const at::Tensor& a, const at::Tensor& b);

at::Tensor fused_attention(const at::Tensor& qkv);

/// a and b are float32 or float64; where this project's CUDA kernels are on, bfloat16 is also
/// possible. Biases may have any floating type.
at::Tensor fused_residual_sum(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                              const at::Tensor& second_bias);

/// x is float32 or float64; on a GPU bfloat16 is also possible. `silu` says whether SiLU follows;
/// without it there are no extras.
at::Tensor fused_group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            std::int64_t groups, double eps, bool silu, const NormExtras& extras);

}  // namespace cdm::ops
