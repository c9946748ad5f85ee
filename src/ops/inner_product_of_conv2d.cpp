// SPDX-License-Identifier: MIT
// The inner product of an image and a 3x3 convolution of features, without the convolution.
//
// The kernel's tap (a, b) of output pixel p reads the features h at pixel p + (a - 1, b - 1), or
// zero beyond the edge. So with q = p + (a - 1, b - 1),
//
//   sum over p of x[p] conv(h)[p] = sum over the taps of
//                                   weight[:, :, tap] . (sum over q of x[q - (a - 1, b - 1)] h[q])
//
// which takes the product of two small matrices per image, whose rows are shifted copies of the
// image, instead of a convolution with as many outputs as there are inner products.
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/im2col.h>
#include <ATen/ops/linear.h>

#include "ops/fused.h"

namespace cdm::ops {

at::Tensor fused_inner_product_of_conv2d(const at::Tensor& h, const at::Tensor& x,
                                         const at::Tensor& weight, const at::Tensor& bias) {
  const at::ScalarType type = weight.scalar_type();
  const std::int64_t C = x.size(1);
  const std::int64_t n = weight.size(0) / C;
  const at::Tensor image = x.to(type);
  // Row (c, i, j) holds x[c, q + (i - 1, j - 1)]: what tap (2 - i, 2 - j) needs.
  const at::Tensor shifted = at::im2col(image, {3, 3}, {1, 1}, {1, 1}, {1, 1});  // [B, 9C, HW]
  const at::Tensor pixels = h.permute({0, 2, 3, 1}).flatten(1, 2).to(type);      // [B, HW, in]
  const at::Tensor sums = at::bmm(shifted, pixels);                              // [B, 9C, in]
  const at::Tensor taps = weight.flip({2, 3})
                              .view({n, C, weight.size(1), 3, 3})
                              .permute({0, 1, 3, 4, 2})
                              .flatten(1);  // [n, 9C in]
  const at::Tensor of_bias = at::linear(image.sum({2, 3}), bias.view({n, C}));
  return (at::linear(sums.flatten(1), taps) + of_bias) / (C * x.size(2) * x.size(3));
}

}  // namespace cdm::ops
