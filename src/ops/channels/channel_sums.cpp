// SPDX-License-Identifier: MIT
// Sums over pixels, as the gradient of a bias needs them. On a GPU ATen's sum of bfloat16 numbers
// is several times slower than reading them; own kernels do it instead (launch.h).
#include "ops/channels/channel_sums.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/channels/launch.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct ChannelSums : Function<ChannelSums> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& any) {
    context->saved_data["sizes"] = any.sizes();
    context->saved_data["type"] = any.scalar_type();
    const at::ScalarType type = sum_type(any.scalar_type());
    if (!has_kernels(any)) return any.sum({0, 2, 3}, /*keepdim=*/false, type);
    const at::Tensor x = channels_last(any);
    const std::int64_t channels = x.size(1);
    const at::Tensor sums = at::empty({channels}, x.options().dtype(type));
    const at::Tensor partial = at::empty({cuda::kMostSums, channels}, sums.options());
    call_kernel(x, [&]<class T>(T, void* stream) {
      using S = cuda::Sum<T>;
      cuda::sum_channels<T>(x.numel() / channels, channels, data<T>(x), data<S>(partial),
                            data<S>(sums), stream);
    });
    return sums;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const at::ScalarType type = context->saved_data.at("type").toScalarType();
    const std::vector<std::int64_t> sizes = context->saved_data.at("sizes").toIntVector();
    return {grads[0].to(type).view({-1, 1, 1}).expand(sizes)};
  }
};

}  // namespace

at::Tensor channel_sums(const at::Tensor& x) { return ChannelSums::apply(x); }

}  // namespace cdm::ops
