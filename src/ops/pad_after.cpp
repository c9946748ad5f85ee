// SPDX-License-Identifier: MIT
// Padding whose gradient is a view.
//
// ATen copies the gradient of a padding. Where it is added to another gradient, as that of an image
// that a skip connection needs, too, the sum can read the view as well.
#include <ATen/ops/constant_pad_nd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/fused.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::Tensor pad(const at::Tensor& x) { return at::constant_pad_nd(x, {0, 1, 0, 1}); }

/// x without its last row and column. Its derivative is ATen's padding, so that all further
/// derivatives are right, too.
struct Crop : Function<Crop> {
  static at::Tensor forward(AutogradContext* /*context*/, const at::Tensor& x) {
    return x.narrow(2, 0, x.size(2) - 1).narrow(3, 0, x.size(3) - 1);
  }
  static variable_list backward(AutogradContext* /*context*/, const variable_list& grads) {
    return {pad(grads[0])};
  }
};

struct PadAfter : Function<PadAfter> {
  static at::Tensor forward(AutogradContext* /*context*/, const at::Tensor& x) { return pad(x); }
  static variable_list backward(AutogradContext* /*context*/, const variable_list& grads) {
    return {Crop::apply(grads[0])};
  }
};

}  // namespace

at::Tensor fused_pad_after(const at::Tensor& x) { return PadAfter::apply(x); }

}  // namespace cdm::ops
