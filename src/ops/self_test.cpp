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

struct Case {
  std::int64_t side, channels;
};

/// Cases that take all versions of the kernels.
constexpr Case kCases[] = {
    {4, 32},   // a row of attention is shared by threads of one warp; one pass for sums
    {24, 32},  // by several warps, some without numbers; two passes for sums
    {5, 5},    // nothing is a multiple of 16 bytes
};

/// Turns the kernels on, and off again even when one of them throws.
class WithKernels {
 public:
  WithKernels() { set_own_cuda_kernels(true); }
  WithKernels(const WithKernels&) = delete;
  WithKernels& operator=(const WithKernels&) = delete;
  ~WithKernels() { set_own_cuda_kernels(false); }
};

/// Numbers between -1 and 1 without a pattern that a wrong kernel could keep.
at::Tensor example(double seed, at::IntArrayRef shape, at::TensorOptions options) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  const at::Tensor numbers = at::arange(count, options.dtype(at::kFloat)).add(seed).square().sin();
  return numbers.view(shape).to(options);
}

/// A value that depends on all operations under test, its gradient, and the gradient of that.
Tensors results(const Case& c, at::TensorOptions options) {
  const c10::AutoGradMode differentiate(true);
  const auto image = [&](double seed, std::int64_t channels) {
    return channels_last(example(seed, {2, channels, c.side, c.side}, options));
  };
  const auto leaf = [](const at::Tensor& x) { return x.detach().requires_grad_(true); };
  const at::Tensor qkv = leaf(image(1, 3 * c.channels));
  const at::Tensor skip = leaf(image(2, c.channels));
  const at::Tensor other = leaf(image(3, 2 * c.channels));
  const at::Tensor bias = leaf(example(4, {2 * c.channels}, options.dtype(at::kFloat)));
  const at::Tensor grad_y = leaf(image(5, 2 * c.channels));

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

Tensors results_by_kernels(const Case& c, at::TensorOptions options) {
  const WithKernels on;
  return results(c, options);
}

/// Throws c10::Error unless the kernels give what ATen gives.
void try_case(const Case& c, at::TensorOptions options) {
  const Tensors expected = results(c, options);
  const Tensors actual = results_by_kernels(c, options);
  // Results that are rounded in other places differ by some units of the last place of bfloat16, or
  // of TF32 where matrix products of float32 have it.
  const c10::ScalarType type = c10::typeMetaToScalarType(options.dtype());
  const double tolerance = type == at::kBFloat16 ? 0.05 : 0.01;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const at::Tensor error = (actual[i] - expected[i]).abs().max();
    TORCH_CHECK(error.le(tolerance * expected[i].abs().max()).item<bool>(),
                "attention or a sum over channels is wrong for images of ", c.side, "x", c.side,
                " in ", type);
  }
}

}  // namespace

void try_layer_kernels(c10::Device device) {
  set_own_cuda_kernels(false);
  for (const Case& c : kCases) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      try_case(c, at::TensorOptions().dtype(type).device(device));
    }
  }
}

}  // namespace cdm::ops
