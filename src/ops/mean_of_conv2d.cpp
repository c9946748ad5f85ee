// SPDX-License-Identifier: MIT
// The mean over the pixels of a 3x3 convolution, without the convolution.
//
// The kernel's tap (i, j) reads pixel (h + i - 1, w + j - 1) for output pixel (h, w), or zero
// beyond the edge. Summed over all output pixels, it reads every pixel of a window once: all rows
// but the last for i = 0, all rows for i = 1, all but the first for i = 2, and columns likewise. So
//
//   mean(conv(x)) = bias + sum over the taps of weight[:, :, tap] . (sum of x over its window) /
//   (HW)
//
// which takes nine sums over the image and one small product. The gradient by x adds to each pixel
// the gradients of the windows that it lies in.
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/fused.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t kTaps = 9;

/// [9, H, W]: 1 where a pixel lies in the window of a tap, 0 elsewhere. In the type of x. It is
/// filled on the device, because a CUDA graph cannot record a copy from the host.
at::Tensor windows_of(const at::Tensor& x) {
  const std::int64_t height = x.size(2);
  const std::int64_t width = x.size(3);
  at::Tensor inside = at::ones({3, 3, height, width}, x.options().requires_grad(false));
  inside.select(0, 0).select(1, height - 1).fill_(0);
  inside.select(0, 2).select(1, 0).fill_(0);
  inside.select(1, 0).select(2, width - 1).fill_(0);
  inside.select(1, 2).select(2, 0).fill_(0);
  return inside.view({kTaps, height, width});
}

/// One row of channels per pixel: [B, C, H, W] -> [B, HW, C]. A view of a channels_last tensor.
at::Tensor pixels_of(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).flatten(1, 2); }

/// The matrix for all images of a batch.
at::Tensor for_each(const at::Tensor& x, const at::Tensor& matrix) {
  return matrix.unsqueeze(0).expand({x.size(0), -1, -1});
}

/// Sums are float32 where x is bfloat16.
at::ScalarType type_of_sums(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type();
}

/// The sum of x [B, C, H, W] over each window, divided by HW: [B, 9, C], and the adjoint of this.
/// Both are linear, so that each is the other's derivative.
struct WindowMeans : Function<WindowMeans> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& windows);
  static variable_list backward(AutogradContext* context, const variable_list& grads);
};

struct SpreadOverWindows : Function<SpreadOverWindows> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& means,
                            const at::Tensor& windows);
  static variable_list backward(AutogradContext* context, const variable_list& grads);
};

at::Tensor WindowMeans::forward(AutogradContext* context, const at::Tensor& x,
                                const at::Tensor& windows) {
  context->saved_data["windows"] = windows;
  const at::Tensor pixels = pixels_of(x);
  const at::Tensor matrix = for_each(x, windows.flatten(1));
  const at::ScalarType type = type_of_sums(x);
  const at::Tensor sums = at::bmm(matrix.to(type), pixels.to(type));
  return sums.div_(x.size(2) * x.size(3));
}

variable_list WindowMeans::backward(AutogradContext* context, const variable_list& grads) {
  return {SpreadOverWindows::apply(grads[0], context->saved_data.at("windows").toTensor()), {}};
}

at::Tensor SpreadOverWindows::forward(AutogradContext* context, const at::Tensor& means,
                                      const at::Tensor& windows) {
  context->saved_data["windows"] = windows;
  const std::int64_t height = windows.size(1);
  const std::int64_t width = windows.size(2);
  at::Tensor x = at::empty({means.size(0), means.size(2), height, width},
                           windows.options().memory_format(at::MemoryFormat::ChannelsLast));
  at::Tensor pixels = x.permute({0, 2, 3, 1}).view({x.size(0), height * width, x.size(1)});
  const at::Tensor shares = (means / (height * width)).to(windows.scalar_type());
  at::bmm_out(pixels, for_each(means, windows.flatten(1).t()), shares);
  return x;
}

variable_list SpreadOverWindows::backward(AutogradContext* context, const variable_list& grads) {
  return {WindowMeans::apply(grads[0], context->saved_data.at("windows").toTensor()), {}};
}

}  // namespace

at::Tensor fused_mean_of_conv2d(const at::Tensor& x, const at::Tensor& weight,
                                const at::Tensor& bias) {
  const at::Tensor means = WindowMeans::apply(x, windows_of(x)).to(weight.scalar_type());
  // The product sums over taps and channels, in the order in which a channels_last kernel has them.
  return at::linear(means.flatten(1), weight.permute({0, 2, 3, 1}).flatten(1), bias);
}

}  // namespace cdm::ops
