// SPDX-License-Identifier: MIT
// Doubling the size of an image, then a 3x3 convolution, at 4/9 of the arithmetic.
//
// Doubling repeats each pixel, so the nine taps of the kernel read only four different pixels. Of
// the rows that an output row reads, two are the same. An even row reads the row above with w0 and
// its own with w1 + w2; an odd row reads its own with w0 + w1 and the row below with w2. This is a
// transposed convolution with stride 2, padding 1, and a 4x4 kernel whose rows are
// (w2, w1 + w2, w0 + w1, w0), and its columns likewise: the sums of the reversed 3x3 kernel over
// all 2x2 windows that it touches.
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/channels/channel_sums.h"
#include "ops/fused.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t kStride = 2;
constexpr std::int64_t kPadding = 1;

/// The 4x4 kernel [in, out, 4, 4] of a 3x3 kernel [out, in, 3, 3]. The pooling must not see
/// channels_last tensors: on a GPU, ATen's gradient of it is wrong for these with a divisor of 1
/// (LibTorch 2.11).
at::Tensor transposed_kernel(const at::Tensor& weight) {
  const at::Tensor reversed = at::flip(weight.transpose(0, 1).contiguous(), {2, 3});
  return at::avg_pool2d(reversed, /*kernel_size=*/2, /*stride=*/1, /*padding=*/1,
                        /*ceil_mode=*/false, /*count_include_pad=*/true, /*divisor_override=*/1)
      .contiguous(at::MemoryFormat::ChannelsLast);
}

/// x [B, in, H, W], weight [in, out, 4, 4] -> [B, out, 2H, 2W]. This is the input gradient of an
/// ordinary convolution from `out` to `in` channels. Its own derivatives are that convolution,
/// which has a fast second derivative, and that convolution's weight gradient with input and output
/// exchanged. The latter is ATen's, so that its further derivatives are right, but slower.
struct TransposedConv2d : Function<TransposedConv2d> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias) {
    context->save_for_backward({x, weight});
    return at::conv_transpose2d(x, weight, bias, kStride, kPadding);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    at::Tensor to_x;
    at::Tensor to_weight;
    at::Tensor to_bias;
    if (context->needs_input_grad(0)) {
      to_x = fused_conv2d(grads[0], weight, /*bias=*/{}, kStride, kPadding);
    }
    if (context->needs_input_grad(1)) {
      to_weight = weight_gradient(x, grads[0], weight, kStride, kPadding);
    }
    if (context->needs_input_grad(2)) to_bias = channel_sums(grads[0]).to(grads[0].scalar_type());
    return {to_x, to_weight, to_bias};
  }
};

}  // namespace

at::Tensor fused_upsample_conv2d(const at::Tensor& x, const at::Tensor& weight,
                                 const at::Tensor& bias) {
  const at::ScalarType type = x.scalar_type();
  // In small images the 4x4 kernel costs more than it saves. The choice does not depend on the size
  // of the batch, so that an image's result does not, either.
  constexpr std::int64_t kFewestPixels = 32;
  if (x.size(2) * x.size(3) < kFewestPixels) {
    const at::Tensor enlarged = at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)});
    return fused_conv2d(enlarged, weight.to(type), bias.to(type), 1, 1);
  }
  // The sums are rounded to x's type, not their terms.
  return TransposedConv2d::apply(x, transposed_kernel(weight).to(type), bias.to(type));
}

}  // namespace cdm::ops
