// SPDX-License-Identifier: MIT
// The end of a residual block as one pass: the sum of two branches and of their biases. ATen adds a
// convolution's bias in a pass of its own on a GPU, and reads every gradient once per bias.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "cdm/ops/ops.h"
#include "ops/channels/channel_sums.h"
#include "ops/channels/launch.h"
#include "ops/fused.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

template <class T>
void add_pixel(std::int64_t channels, const T* __restrict__ a, const T* __restrict__ b,
               const T* __restrict__ bias, T* __restrict__ out) {
  for (std::int64_t c = 0; c < channels; ++c) out[c] = a[c] + b[c] + bias[c];
}

template <class T>
void add_on_cpu(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                const at::Tensor& out) {
  constexpr std::int64_t kGrain = 32768;  // numbers per thread, as ATen has it
  const std::int64_t C = a.size(1);
  at::parallel_for(0, a.numel() / C, std::max<std::int64_t>(kGrain / C, 1),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t p = begin; p < end; ++p) {
                       add_pixel(C, data<T>(a) + p * C, data<T>(b) + p * C, data<T>(bias),
                                 data<T>(out) + p * C);
                     }
                   });
}

at::Tensor sum(const at::Tensor& any_a, const at::Tensor& any_b, const at::Tensor& any_bias) {
  const at::Tensor a = channels_last(any_a);
  const at::Tensor b = channels_last(any_b);
  const at::Tensor bias = any_bias.contiguous();
  const at::Tensor out = at::empty_like(a);
  if (has_kernels(a)) {
    call_kernel(a, [&]<class T>(T, void* stream) {
      cuda::residual_sum<T>(a.numel() / a.size(1), a.size(1), data<T>(a), data<T>(b),
                            data<cuda::Sum<T>>(bias), data<T>(out), stream);
    });
    return out;
  }
  if (a.scalar_type() == at::kFloat) {
    add_on_cpu<float>(a, b, bias, out);
  } else {
    add_on_cpu<double>(a, b, bias, out);
  }
  return out;
}

struct ResidualSum : Function<ResidualSum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& a, const at::Tensor& b,
                            const at::Tensor& bias, const std::optional<at::Tensor>& second_bias) {
    context->saved_data["two"] = second_bias.has_value();
    return sum(a, b, second_bias.has_value() ? bias + *second_bias : bias);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const bool second = context->saved_data.at("two").toBool() && context->needs_input_grad(3);
    at::Tensor to_bias;
    if (second || context->needs_input_grad(2)) to_bias = channel_sums(grads[0]);
    // A copy, because whoever scales a parameter's gradient in place must not scale another's.
    return {grads[0], grads[0], to_bias, second ? to_bias.clone() : at::Tensor()};
  }
};

}  // namespace

at::Tensor fused_residual_sum(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                              const at::Tensor& second_bias) {
  TORCH_CHECK(a.dim() == 4 && a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
                  bias.dim() == 1 && bias.size(0) == a.size(1) &&
                  (!second_bias.defined() || second_bias.sizes() == bias.sizes()),
              "residual_sum: ", a.sizes(), " of ", a.scalar_type(), " and ", b.sizes(), " of ",
              b.scalar_type(), " with a bias ", bias.sizes());
  const at::ScalarType type = sum_type(a.scalar_type());
  return ResidualSum::apply(
      a, b, bias.to(type),
      second_bias.defined() ? std::optional(second_bias.to(type)) : std::nullopt);
}

}  // namespace cdm::ops
