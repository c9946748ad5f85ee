// SPDX-License-Identifier: MIT
// A convolution whose second derivative stays on the fast path.
//
// ATen's double backward computes weight gradients as a convolution whose kernel is a whole feature
// map. Here the input gradient is an op of its own, bilinear in (output gradient, weight), so its
// derivatives are a plain convolution and a plain weight gradient. Those are ATen's, so that any
// further derivative is right too, only slower.
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "fused.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct Geometry {
  std::int64_t stride, padding;
};

at::Tensor input_gradient(const at::Tensor& grad_y, const at::Tensor& x_like,
                          const at::Tensor& weight, Geometry g) {
  return std::get<0>(at::convolution_backward(grad_y, x_like, weight, at::OptionalIntArrayRef(),
                                              {g.stride, g.stride}, {g.padding, g.padding}, {1, 1},
                                              false, {0, 0}, 1, {true, false, false}));
}

/// Those of the weight and of the bias that are wanted; oneDNN makes both in one pass.
std::pair<at::Tensor, at::Tensor> parameter_gradients(const at::Tensor& grad_y, const at::Tensor& x,
                                                      const at::Tensor& weight, Geometry g,
                                                      bool of_weight, bool of_bias) {
  if (!of_weight && !of_bias) return {};
  const std::int64_t out = weight.size(0);
  auto [none, to_weight, to_bias] = at::convolution_backward(
      grad_y, x, weight, at::IntArrayRef(out), {g.stride, g.stride}, {g.padding, g.padding}, {1, 1},
      false, {0, 0}, 1, {false, of_weight, of_bias});
  return {std::move(to_weight), std::move(to_bias)};
}

Geometry geometry_of(const AutogradContext& context) {
  return {context.saved_data.at("stride").toInt(), context.saved_data.at("padding").toInt()};
}

void save_geometry(AutogradContext& context, Geometry g) {
  context.saved_data["stride"] = g.stride;
  context.saved_data["padding"] = g.padding;
}

/// dL/dx of (dL/dy, weight). Linear in each.
struct InputGradient : Function<InputGradient> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& grad_y,
                            const at::Tensor& weight, const at::Tensor& x_like, std::int64_t stride,
                            std::int64_t padding) {
    save_geometry(*context, {stride, padding});
    context->save_for_backward({grad_y, weight});
    return input_gradient(grad_y, x_like, weight, {stride, padding});
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const Geometry g = geometry_of(*context);
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& grad_y = saved[0];
    const at::Tensor& weight = saved[1];
    at::Tensor to_grad_y;
    at::Tensor to_weight;
    if (context->needs_input_grad(0)) {
      to_grad_y = at::conv2d(grads[0], weight, {}, g.stride, g.padding);
    }
    if (context->needs_input_grad(1)) {
      to_weight = parameter_gradients(grad_y, grads[0], weight, g, true, false).first;
    }
    return {to_grad_y, to_weight, {}, {}, {}};
  }
};

struct Conv2dFunction : Function<Conv2dFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, std::int64_t stride, std::int64_t padding) {
    save_geometry(*context, {stride, padding});
    context->save_for_backward({x, weight});
    return at::conv2d(x, weight, bias, stride, padding);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const Geometry g = geometry_of(*context);
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    at::Tensor to_x;
    if (context->needs_input_grad(0)) {
      to_x = InputGradient::apply(grads[0], weight, x.detach(), g.stride, g.padding);
    }
    auto [to_weight, to_bias] = parameter_gradients(
        grads[0], x, weight, g, context->needs_input_grad(1), context->needs_input_grad(2));
    return {to_x, to_weight, to_bias, {}, {}};
  }
};

}  // namespace

at::Tensor fused_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        std::int64_t stride, std::int64_t padding) {
  return Conv2dFunction::apply(x, weight, bias, stride, padding);
}

}  // namespace cdm::ops
