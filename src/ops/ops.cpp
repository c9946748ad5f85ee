// SPDX-License-Identifier: MIT
// The plain versions of the operations, and the choice between them and the fused ones.
#include "cdm/ops/ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "cdm/device/cuda_kernels.h"
#include "cdm/ops/flops.h"
#include "ops/fused.h"
#include "ops/group_norm/layout.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

std::atomic<bool>& fused_flag() {
  static std::atomic<bool> flag = true;
  return flag;
}

bool norm_is_fused(const at::Tensor& x, std::int64_t groups) {
  if (!fused()) return false;
  const at::ScalarType type = x.scalar_type();
  const bool is_real = type == at::kFloat || type == at::kDouble;
  if (x.is_cpu()) return is_real;
  constexpr std::int64_t kMostElements = std::numeric_limits<std::int32_t>::max();  // of an image
  return x.is_cuda() && own_cuda_kernels() && (is_real || type == at::kBFloat16) && groups > 0 &&
         x.size(1) / groups <= cuda::kMaxGroupWidth &&
         x.size(1) * x.size(2) * x.size(3) <= kMostElements;
}

/// `outputs`: how many numbers the convolution computes.
std::int64_t flop_of_convolution(std::int64_t outputs, const at::Tensor& weight) {
  return 2 * outputs * weight[0].numel();
}

void check_3x3(const at::Tensor& x, const at::Tensor& weight, const char* op) {
  TORCH_CHECK(x.dim() == 4 && weight.dim() == 4 && weight.size(1) == x.size(1) &&
                  weight.size(2) == 3 && weight.size(3) == 3,
              op, ": a kernel ", weight.sizes(), " for images ", x.sizes(),
              " instead of [out, in, 3, 3]");
}

}  // namespace

bool fused() { return fused_flag(); }
void set_fused(bool fused) { fused_flag() = fused; }

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t stride, std::int64_t padding) {
  const at::Tensor y = fused() ? fused_conv2d(x, weight, bias, stride, padding)
                               : reference::conv2d(x, weight, bias, stride, padding);
  FlopCounter::add(flop_of_convolution(y.numel(), weight));
  return y;
}

at::Tensor upsample_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  check_3x3(x, weight, "upsample_conv2d");
  const at::Tensor y = fused() ? fused_upsample_conv2d(x, weight, bias)
                               : reference::upsample_conv2d(x, weight, bias);
  FlopCounter::add(flop_of_convolution(y.numel(), weight));
  return y;
}

at::Tensor mean_of_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  check_3x3(x, weight, "mean_of_conv2d");
  const at::Tensor y =
      fused() ? fused_mean_of_conv2d(x, weight, bias) : reference::mean_of_conv2d(x, weight, bias);
  FlopCounter::add(flop_of_convolution(y.numel() * x.size(2) * x.size(3), weight));
  return y;
}

at::Tensor inner_product_of_conv2d(const at::Tensor& h, const at::Tensor& x,
                                   const at::Tensor& weight, const at::Tensor& bias) {
  check_3x3(h, weight, "inner_product_of_conv2d");
  TORCH_CHECK(weight.size(0) % x.size(1) == 0 && x.sizes().slice(2) == h.sizes().slice(2),
              "inner_product_of_conv2d: a kernel ", weight.sizes(), " and features ", h.sizes(),
              " for images ", x.sizes());
  const at::Tensor y = fused() ? fused_inner_product_of_conv2d(h, x, weight, bias)
                               : reference::inner_product_of_conv2d(h, x, weight, bias);
  FlopCounter::add(flop_of_convolution(x.size(0) * weight.size(0) * x.size(2) * x.size(3), weight));
  return y;
}

at::Tensor group_norm_silu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           std::int64_t groups, double eps, const NormExtras& extras) {
  return norm_is_fused(x, groups)
             ? fused_group_norm(x, weight, bias, groups, eps, /*silu=*/true, extras)
             : reference::group_norm_silu(x, weight, bias, groups, eps, extras);
}

at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      std::int64_t groups, double eps) {
  return norm_is_fused(x, groups)
             ? fused_group_norm(x, weight, bias, groups, eps, /*silu=*/false, {})
             : reference::group_norm(x, weight, bias, groups, eps);
}

at::Tensor pad_after(const at::Tensor& x) {
  return fused() ? fused_pad_after(x) : reference::pad_after(x);
}

at::Tensor concat_channels(const at::Tensor& a, const at::Tensor& b) {
  return fused() ? fused_concat_channels(a, b) : reference::concat_channels(a, b);
}

at::Tensor residual_sum(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                        const at::Tensor& second_bias) {
  const at::ScalarType type = a.scalar_type();
  const bool has_loop = a.is_cpu() && (type == at::kFloat || type == at::kDouble);
  return fused() && (has_loop || has_kernels(a)) ? fused_residual_sum(a, b, bias, second_bias)
                                                 : reference::residual_sum(a, b, bias, second_bias);
}

at::Tensor attention(const at::Tensor& qkv) {
  const at::Tensor y = fused() ? fused_attention(qkv) : reference::attention(qkv);
  FlopCounter::add(4 * y.numel() * y.size(2) * y.size(3));
  return y;
}

}  // namespace cdm::ops

namespace cdm::reference {

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t stride, std::int64_t padding) {
  return at::conv2d(x, weight, bias, stride, padding);
}

at::Tensor upsample_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor enlarged = at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)});
  return at::conv2d(enlarged, weight.to(x.scalar_type()), bias.to(x.scalar_type()), 1, 1);
}

at::Tensor mean_of_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::conv2d(x, weight.to(x.scalar_type()), bias.to(x.scalar_type()), 1, 1)
      .to(weight.scalar_type())
      .mean({2, 3});
}

at::Tensor inner_product_of_conv2d(const at::Tensor& h, const at::Tensor& x,
                                   const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor y = at::conv2d(h.to(weight.scalar_type()), weight, bias, 1, 1);
  const std::int64_t C = x.size(1);
  const std::int64_t n = weight.size(0) / C;
  return (y.reshape({x.size(0), n, C, x.size(2), x.size(3)}) * x.unsqueeze(1)).mean({2, 3, 4});
}

at::Tensor group_norm_silu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           std::int64_t groups, double eps, const ops::NormExtras& extras) {
  at::Tensor shifted = x;
  if (extras.shift.defined()) {
    shifted = x + extras.shift.to(x.scalar_type()).unsqueeze(2).unsqueeze(3);
  }
  return ops::dropout(at::silu(group_norm(shifted, weight, bias, groups, eps)), extras.dropout);
}

at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      std::int64_t groups, double eps) {
  return at::group_norm(x, groups, weight.to(x.scalar_type()), bias.to(x.scalar_type()), eps);
}

at::Tensor pad_after(const at::Tensor& x) { return at::constant_pad_nd(x, {0, 1, 0, 1}); }

at::Tensor concat_channels(const at::Tensor& a, const at::Tensor& b) { return at::cat({a, b}, 1); }

at::Tensor attention(const at::Tensor& qkv) {
  const std::vector<at::Tensor> parts = qkv.chunk(3, 1);
  const double scale = 1.0 / std::sqrt(static_cast<double>(parts[0].size(1)));
  const at::Tensor queries = parts[0].flatten(2).transpose(1, 2);  // [B, HW, C]
  const at::Tensor weights =
      at::bmm(queries, parts[1].flatten(2)).mul(scale).softmax(2);  // [B, HW, HW]
  // This order of transpositions makes the result channels_last, as v is.
  const at::Tensor values = at::bmm(weights, parts[2].flatten(2).transpose(1, 2));
  return values.transpose(1, 2).view(parts[2].sizes());
}

at::Tensor residual_sum(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                        const at::Tensor& second_bias) {
  const at::Tensor sum = a + b + bias.to(a.scalar_type()).view({-1, 1, 1});
  return second_bias.defined() ? sum + second_bias.to(a.scalar_type()).view({-1, 1, 1}) : sum;
}

}  // namespace cdm::reference
