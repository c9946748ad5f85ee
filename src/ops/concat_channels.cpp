// SPDX-License-Identifier: MIT
// A concatenation whose gradients are contiguous (channels_last).
//
// ATen's gradients of a concatenation are views into the gradient of the result. Each operation
// that needs such a view (the input, weight and bias gradients of a convolution) copies it for
// itself. The second derivative pads each part with zeros and adds them up. Here both gradients are
// copied once, and the second derivative is a concatenation. On a GPU one own kernel writes both
// parts, 16 bytes at a time; ATen's copies of strided parts go by single numbers.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/channels/launch.h"
#include "ops/fused.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::Tensor image_like(const at::Tensor& x, std::int64_t channels) {
  return at::empty({x.size(0), channels, x.size(2), x.size(3)}, x.options(),
                   at::MemoryFormat::ChannelsLast);
}

variable_list split_by_kernel(const at::Tensor& x, std::int64_t channels) {
  const at::Tensor a = image_like(x, channels);
  const at::Tensor b = image_like(x, x.size(1) - channels);
  call_kernel(x, [&]<class T>(T, void* stream) {
    cuda::split_channels<T>(x.numel() / x.size(1),
                            {a.size(1), b.size(1), data<T>(a), data<T>(b), data<T>(x)}, stream);
  });
  return {a, b};
}

/// The first `channels` channels of x, and the others. Linear in x; its derivative is the
/// concatenation, whose derivative this is.
struct Split : Function<Split> {
  static variable_list forward(AutogradContext* /*context*/, const at::Tensor& x,
                               std::int64_t channels) {
    if (has_kernels(x)) return split_by_kernel(channels_last(x), channels);
    const auto part = [&](std::int64_t first, std::int64_t count) {
      // A copy even when the part is all of x: the result of a Function must not be its argument.
      return x.narrow(1, first, count).clone(at::MemoryFormat::ChannelsLast);
    };
    return {part(0, channels), part(channels, x.size(1) - channels)};
  }

  static variable_list backward(AutogradContext* /*context*/, const variable_list& v) {
    return {fused_concat_channels(v[0], v[1]), {}};
  }
};

at::Tensor concat_by_kernel(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor whole = image_like(a, a.size(1) + b.size(1));
  call_kernel(a, [&]<class T>(T, void* stream) {
    cuda::concat_channels<T>(a.numel() / a.size(1),
                             {a.size(1), b.size(1), data<T>(a), data<T>(b), data<T>(whole)},
                             stream);
  });
  return whole;
}

struct Concat : Function<Concat> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& a, const at::Tensor& b) {
    context->saved_data["channels"] = a.size(1);
    if (has_kernels(a)) return concat_by_kernel(channels_last(a), channels_last(b));
    return at::cat({a, b}, 1);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    return Split::apply(grads[0], context->saved_data.at("channels").toInt());
  }
};

}  // namespace

at::Tensor fused_concat_channels(const at::Tensor& a, const at::Tensor& b) {
  TORCH_CHECK(a.dim() == 4 && b.dim() == 4 && a.size(0) == b.size(0) &&
                  a.sizes().slice(2) == b.sizes().slice(2) && a.scalar_type() == b.scalar_type(),
              "concat_channels: ", a.sizes(), " of ", a.scalar_type(), " and ", b.sizes(), " of ",
              b.scalar_type());
  return Concat::apply(a, b);
}

}  // namespace cdm::ops
