// SPDX-License-Identifier: MIT
#include "ops/self_test.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

#include "cdm/device/cuda_kernels.h"
#include "cdm/ops/ops.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

using Tensors = std::vector<at::Tensor>;

/// Numbers between -1 and 1 without a pattern that a wrong kernel could keep.
at::Tensor example(double seed, at::IntArrayRef shape, at::TensorOptions options) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  const at::Tensor numbers = at::arange(count, options.dtype(at::kFloat)).add(seed).square().sin();
  return numbers.view(shape).to(options);
}

/// A value that depends on all operations under test, its gradient, and the gradient of that.
Tensors results(at::TensorOptions options) {
  const c10::AutoGradMode differentiate(true);
  constexpr std::int64_t kSide = 4;
  constexpr std::int64_t kChannels = 32;
  const auto image = [&](double seed, std::int64_t channels) {
    return channels_last(example(seed, {2, channels, kSide, kSide}, options));
  };
  const auto leaf = [](const at::Tensor& x) { return x.detach().requires_grad_(true); };
  const at::Tensor qkv = leaf(image(1, 3 * kChannels));
  const at::Tensor skip = leaf(image(2, kChannels));
  const at::Tensor other = leaf(image(3, 2 * kChannels));
  const at::Tensor bias = leaf(example(4, {2 * kChannels}, options.dtype(at::kFloat)));
  const at::Tensor grad_y = leaf(image(5, 2 * kChannels));

  const at::Tensor joined = concat_channels(attention(qkv), skip);
  // The square makes every gradient depend on every argument.
  const at::Tensor y = residual_sum(joined, other, bias).square();
  const Tensors arguments = {qkv, skip, other, bias};
  const Tensors first = torch::autograd::grad({y}, arguments, {grad_y}, true, true);
  Tensors ones;
  for (const at::Tensor& gradient : first) ones.push_back(gradient.detach());
  const Tensors second = torch::autograd::grad(first, {qkv, skip, other, bias, grad_y}, ones);
  Tensors all = {y};
  all.insert(all.end(), first.begin(), first.end());
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

}  // namespace

void try_layer_kernels(c10::Device device) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::TensorOptions options = at::TensorOptions().dtype(type).device(device);
    set_own_cuda_kernels(false);
    const Tensors expected = results(options);
    set_own_cuda_kernels(true);
    const Tensors actual = results(options);
    set_own_cuda_kernels(false);
    // Results that are rounded in other places differ by some units of the last place of bfloat16.
    constexpr double kTolerance = 0.05;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const at::Tensor error = (actual[i] - expected[i]).abs().max();
      TORCH_CHECK(error.le(kTolerance * expected[i].abs().max()).item<bool>(),
                  "attention or a sum over channels is wrong in ", type);
    }
  }
}

}  // namespace cdm::ops
