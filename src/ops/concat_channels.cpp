// SPDX-License-Identifier: MIT
// A concatenation whose gradients are contiguous (channels_last).
//
// ATen's gradients of a concatenation are views into the gradient of the result. Each operation
// that needs such a view (the input, weight and bias gradients of a convolution) copies it for
// itself. The second derivative pads each part with zeros and adds them up. Here both gradients are
// copied once, and the second derivative is a concatenation.
#include <ATen/ops/cat.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/fused.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// The first `channels` channels of x, and the others. This is linear in x. The derivative is
/// ATen's concatenation, so that all further derivatives are right, too.
struct Split : Function<Split> {
  static variable_list forward(AutogradContext* /*context*/, const at::Tensor& x,
                               std::int64_t channels) {
    const auto part = [&](std::int64_t first, std::int64_t count) {
      // A copy even when the part is all of x: the result of a Function must not be its argument.
      return x.narrow(1, first, count).clone(at::MemoryFormat::ChannelsLast);
    };
    return {part(0, channels), part(channels, x.size(1) - channels)};
  }

  static variable_list backward(AutogradContext* /*context*/, const variable_list& v) {
    return {at::cat({v[0], v[1]}, 1), {}};
  }
};

struct Concat : Function<Concat> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& a, const at::Tensor& b) {
    context->saved_data["channels"] = a.size(1);
    return at::cat({a, b}, 1);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    return Split::apply(grads[0], context->saved_data.at("channels").toInt());
  }
};

}  // namespace

at::Tensor fused_concat_channels(const at::Tensor& a, const at::Tensor& b) {
  return Concat::apply(a, b);
}

}  // namespace cdm::ops
