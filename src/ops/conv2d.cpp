// SPDX-License-Identifier: MIT
// A convolution with a fast second derivative.
//
// ATen's double backward computes the weight gradient as a convolution whose kernel is a whole
// feature map, which is slow. Here the input gradient is an operation of its own. It is bilinear in
// the output gradient and the weight, so that its derivatives are an ordinary convolution and an
// ordinary weight gradient. These two are ATen's; so all further derivatives are right, but slower.
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/fused.h"

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

at::Tensor weight_gradient(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                           Geometry g) {
  return std::get<1>(at::convolution_backward(grad_y, x, weight, at::OptionalIntArrayRef(),
                                              {g.stride, g.stride}, {g.padding, g.padding}, {1, 1},
                                              false, {0, 0}, 1, {false, true, false}));
}

Geometry geometry_of(const AutogradContext& context) {
  return {context.saved_data.at("stride").toInt(), context.saved_data.at("padding").toInt()};
}

void save_geometry(AutogradContext& context, Geometry g) {
  context.saved_data["stride"] = g.stride;
  context.saved_data["padding"] = g.padding;
}

/// dL/dx as a function of dL/dy and the weight. It is linear in each of them. `x_like` gives the
/// shape of x.
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
    if (context->needs_input_grad(1)) to_weight = weight_gradient(grad_y, grads[0], weight, g);
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
    at::Tensor to_weight;
    at::Tensor to_bias;
    if (context->needs_input_grad(0)) {
      to_x = InputGradient::apply(grads[0], weight, x.detach(), g.stride, g.padding);
    }
    if (context->needs_input_grad(1)) to_weight = weight_gradient(grads[0], x, weight, g);
    if (context->needs_input_grad(2)) to_bias = grads[0].sum({0, 2, 3});
    return {to_x, to_weight, to_bias, {}, {}};
  }
};

}  // namespace

at::Tensor fused_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        std::int64_t stride, std::int64_t padding) {
  return Conv2dFunction::apply(x, weight, bias, stride, padding);
}

}  // namespace cdm::ops
