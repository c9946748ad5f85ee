// SPDX-License-Identifier: MIT
// Twice-differentiable building blocks of networks. Each has a gradient with respect to every
// tensor argument, and that gradient can be differentiated once more. An operation without a third
// derivative throws when it is asked for one.
//
// An operation may have two versions: a plain one, made of ATen's operations (cdm::reference), and
// a fused one, which is faster and whose derivatives are written out. The fused versions are used
// by default: for convolutions, padding, concatenation and attention everywhere, for the
// normalisation and the residual sum in float32 and float64 on the CPU, and on a GPU with
// own_cuda_kernels. set_fused(false) (in a configuration, operations: plain) selects the plain
// versions.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cdm::ops {

/// Convolution: x [B, in, H, W], weight [out, in, k, k], bias [out] or undefined (none)
/// -> [B, out, H', W'] with H' = (H + 2 padding - k) / stride + 1, rounded down, and W' likewise.
at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t stride, std::int64_t padding);

/// x [B, in, H, W] is doubled in height and width, each pixel becoming 2x2 equal ones; then follows
/// a convolution with weight [out, in, 3, 3], bias [out], stride 1 and padding 1. The result is
/// [B, out, 2H, 2W], in the type of x. Weight and bias may be float32 where x is bfloat16.
at::Tensor upsample_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// The mean over the pixels of the convolution of x [B, in, H, W] with weight [out, in, 3, 3], bias
/// [out], stride 1 and padding 1. The result is [B, out], in the type of the weight, which may be
/// float32 where x is bfloat16.
at::Tensor mean_of_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// The mean over pixels and image channels of the product of an image x [B, C, H, W] and a
/// convolution of h [B, in, H, W], for each of n convolutions: weight [n C, in, 3, 3], where rows
/// k C .. k C + C - 1 make the k-th one, bias [n C], stride 1 and padding 1. The result is [B, n],
/// in the type of the weight, which may be float32 where h is bfloat16.
at::Tensor inner_product_of_conv2d(const at::Tensor& h, const at::Tensor& x,
                                   const at::Tensor& weight, const at::Tensor& bias);

/// Dropout in one layer. Whether an element of row i of a batch is kept is a function of the two
/// numbers in `rows`, i, `layer` and the element's position (y, x, channel) in its image.
struct Dropout {
  double rate = 0.0;       // the probability that an element is set to zero; 0: no dropout
  at::Tensor rows;         // int64 [2] on the device of the images: random_rows(), random_rows.h
  std::int64_t layer = 0;  // index of the random stream
};

/// x [B, C, H, W] with each element either set to zero or multiplied by 1 / (1 - rate).
at::Tensor dropout(const at::Tensor& x, const Dropout& dropout);

/// What group_norm_silu() may do besides.
struct NormExtras {
  at::Tensor shift;  // [B, C] or [1, C], added to x before the normalisation; undefined: none
  Dropout dropout;   // of the result
};

/// Group normalisation (Wu and He, 2018) of x [B, C, H, W] with scale `weight` [C] and shift `bias`
/// [C], then SiLU(u) = u sigmoid(u). `groups` must divide C; `eps` is added to the variance.
/// Weight, bias and extras.shift have the type of x, but are float32 where x is bfloat16.
///
/// extras.shift takes the bias of the convolution before, and the embedding of class and time,
/// without a pass over x. It has a gradient, too; the dropout's random numbers have none.
at::Tensor group_norm_silu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           std::int64_t groups, double eps, const NormExtras& extras = {});

/// Group normalisation without SiLU.
at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      std::int64_t groups, double eps);

/// x [B, C, H, W] with a row of zeros below and a column of zeros to the right: [B, C, H + 1, W +
/// 1]. The gradient by x may be a view.
at::Tensor pad_after(const at::Tensor& x);

/// Concatenation: a [B, C, H, W] and b [B, D, H, W] -> [B, C + D, H, W].
at::Tensor concat_channels(const at::Tensor& a, const at::Tensor& b);

/// The end of a residual block: a + b + bias, where a and b are [B, C, H, W] and bias is [C], of
/// any floating type.
at::Tensor residual_sum(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                        const at::Tensor& second_bias = {});

/// Attention with one head between the pixels of an image: q, k and v side by side, [B, 3C, H, W]
/// -> [B, C, H, W]. Each output pixel is the mean of all pixels of v, weighted by the softmax of
/// q.k / sqrt(C).
at::Tensor attention(const at::Tensor& qkv);

/// Whether this process uses the fused versions. True until set_fused(false).
bool fused();
void set_fused(bool fused);

}  // namespace cdm::ops

/// The plain versions, which tests compare the fused ones with.
namespace cdm::reference {

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t stride, std::int64_t padding);
at::Tensor upsample_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
at::Tensor mean_of_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
at::Tensor inner_product_of_conv2d(const at::Tensor& h, const at::Tensor& x,
                                   const at::Tensor& weight, const at::Tensor& bias);
at::Tensor group_norm_silu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           std::int64_t groups, double eps, const ops::NormExtras& extras = {});
at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      std::int64_t groups, double eps);
at::Tensor pad_after(const at::Tensor& x);
at::Tensor concat_channels(const at::Tensor& a, const at::Tensor& b);
at::Tensor residual_sum(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                        const at::Tensor& second_bias = {});
at::Tensor attention(const at::Tensor& qkv);

}  // namespace cdm::reference
