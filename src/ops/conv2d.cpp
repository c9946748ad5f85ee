// SPDX-License-Identifier: MIT
// A convolution with a fast second derivative.
//
// ATen's double backward computes the weight gradient as a convolution whose kernel is a whole
// feature map, which is slow. Here the input gradient is an operation of its own. It is bilinear in
// the output gradient and the weight, so that its derivatives are an ordinary convolution and an
// ordinary weight gradient. These two are ATen's; so all further derivatives are right, but slower.
//
// A convolution with a kernel of one pixel is a product of matrices [pixels, channels], which
// channels_last images are. On a GPU it is computed as one: the library of products adds the bias
// for nothing and knows more shapes. On the CPU oneDNN's convolution is at least as fast.
#include <ATen/ops/addmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "ops/channels/channel_sums.h"
#include "ops/fused.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct Geometry {
  std::int64_t stride, padding;
  bool product;  // of matrices, instead of a convolution
};

/// x [B, C, H, W] as a matrix [B * H * W, C]; a view where x is channels_last.
at::Tensor pixels(const at::Tensor& x) {
  return x.permute({0, 2, 3, 1}).reshape({x.size(0) * x.size(2) * x.size(3), x.size(1)});
}

/// The reverse, for images as large as those of `like`.
at::Tensor images(const at::Tensor& pixels, const at::Tensor& like) {
  return pixels.view({like.size(0), like.size(2), like.size(3), pixels.size(1)})
      .permute({0, 3, 1, 2});
}

/// weight [out, in, 1, 1] as a matrix [out, in].
at::Tensor as_matrix(const at::Tensor& weight) {
  return weight.reshape({weight.size(0), weight.size(1)});
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                       Geometry g) {
  if (!g.product) return at::conv2d(x, weight, bias, g.stride, g.padding);
  const at::Tensor transposed = as_matrix(weight).t();
  return images(
      bias.defined() ? at::addmm(bias, pixels(x), transposed) : at::mm(pixels(x), transposed), x);
}

at::Tensor input_gradient(const at::Tensor& grad_y, const at::Tensor& x_like,
                          const at::Tensor& weight, Geometry g) {
  if (g.product) return images(at::mm(pixels(grad_y), as_matrix(weight)), grad_y);
  return std::get<0>(at::convolution_backward(grad_y, x_like, weight, at::OptionalIntArrayRef(),
                                              {g.stride, g.stride}, {g.padding, g.padding}, {1, 1},
                                              false, {0, 0}, 1, {true, false, false}));
}

at::Tensor weight_gradient(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                           Geometry g) {
  if (g.product) return at::mm(pixels(grad_y).t(), pixels(x)).view(weight.sizes());
  return ops::weight_gradient(grad_y, x, weight, g.stride, g.padding);
}

Geometry geometry_of(const AutogradContext& context) {
  return {context.saved_data.at("stride").toInt(), context.saved_data.at("padding").toInt(),
          context.saved_data.at("product").toBool()};
}

void save_geometry(AutogradContext& context, Geometry g) {
  context.saved_data["stride"] = g.stride;
  context.saved_data["padding"] = g.padding;
  context.saved_data["product"] = g.product;
}

/// dL/dx as a function of dL/dy and the weight. It is linear in each of them. `x_like` gives the
/// shape of x.
struct InputGradient : Function<InputGradient> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& grad_y,
                            const at::Tensor& weight, const at::Tensor& x_like, Geometry g) {
    save_geometry(*context, g);
    context->save_for_backward({grad_y, weight});
    return input_gradient(grad_y, x_like, weight, g);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const Geometry g = geometry_of(*context);
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& grad_y = saved[0];
    const at::Tensor& weight = saved[1];
    at::Tensor to_grad_y;
    at::Tensor to_weight;
    if (context->needs_input_grad(0)) to_grad_y = convolution(grads[0], weight, {}, g);
    if (context->needs_input_grad(1)) to_weight = weight_gradient(grad_y, grads[0], weight, g);
    return {to_grad_y, to_weight, {}, {}};
  }
};

struct Conv2dFunction : Function<Conv2dFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, Geometry g) {
    save_geometry(*context, g);
    context->saved_data["has_bias"] = bias.has_value();
    context->save_for_backward({x, weight});
    return convolution(x, weight, bias.value_or(at::Tensor()), g);
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
      to_x = InputGradient::apply(grads[0], weight, x.detach(), g);
    }
    if (context->needs_input_grad(1)) to_weight = weight_gradient(grads[0], x, weight, g);
    if (context->saved_data.at("has_bias").toBool() && context->needs_input_grad(2)) {
      to_bias = channel_sums(grads[0]).to(grads[0].scalar_type());
    }
    return {to_x, to_weight, to_bias, {}};
  }
};

at::Tensor apply(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                 Geometry g) {
  return Conv2dFunction::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt, g);
}

}  // namespace

at::Tensor weight_gradient(const at::Tensor& grad_y, const at::Tensor& x, const at::Tensor& weight,
                           std::int64_t stride, std::int64_t padding) {
  return std::get<1>(at::convolution_backward(grad_y, x, weight, at::OptionalIntArrayRef(),
                                              {stride, stride}, {padding, padding}, {1, 1}, false,
                                              {0, 0}, 1, {false, true, false}));
}

at::Tensor fused_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        std::int64_t stride, std::int64_t padding) {
  if (x.is_cuda() && weight.size(2) == 1 && weight.size(3) == 1 && stride == 1 && padding == 0) {
    return pixel_product(x, weight, bias);
  }
  return apply(x, weight, bias, {stride, padding, /*product=*/false});
}

at::Tensor pixel_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return apply(x, weight, bias, {1, 0, /*product=*/true});
}

}  // namespace cdm::ops
