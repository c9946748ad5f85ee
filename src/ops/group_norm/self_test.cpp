// SPDX-License-Identifier: MIT
#include "ops/group_norm/self_test.h"

#include <ATen/TensorOperators.h>
#include <c10/util/Exception.h>

#include <vector>

#include "cdm/device/random_rows.h"
#include "ops/group_norm/passes.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

struct Batch {
  std::int64_t images, channels, side, groups;
};

/// Standard normal numbers, rounded to the type in which they will be used.
at::Tensor numbers(std::uint64_t index, at::IntArrayRef shape, at::ScalarType type) {
  return normal({1, Purpose::noise, index}, shape, at::kFloat).to(type);
}

/// All results, computed on `device` in the type `type`, from numbers rounded to the type
/// `rounded`.
std::vector<at::Tensor> results(const Batch& b, at::ScalarType rounded, at::Device device,
                                at::ScalarType type) {
  const auto image = [&](std::uint64_t index) {
    return numbers(index, {b.images, b.channels, b.side, b.side}, rounded).to(device, type);
  };
  const at::Tensor x = image(0);
  const auto row = [&](std::uint64_t index, std::int64_t rows) {
    const at::Tensor values = numbers(index, {rows, b.channels}, at::kFloat);
    return (rows == 1 ? values[0] : values).to(device, sum_type(type));
  };
  const Dropout dropout = {0.25, random_rows(1, Purpose::dropout, 5, device), 2};
  NormCall call = {x, row(1, 1), row(2, 1), row(3, b.images), true, dropout, {}, {}, {}};
  const at::Tensor y = group_norm_forward(call, b.groups, 1e-6);
  const at::Tensor grad_y = image(4);
  const NormSums all = {true, true};
  const BackwardResult first = group_norm_backward(call, grad_y, all);
  const NormCotangents v = {image(5), row(6, 1), row(7, 1), row(8, b.images)};
  const DoubleBackwardResult second = group_norm_double_backward(call, grad_y, v, all);
  return {y,           first.x,         first.gamma,    first.beta,     first.shift, second.grad_y,
          second.to.x, second.to.gamma, second.to.beta, second.to.shift};
}

}  // namespace

void try_norm_kernels(c10::Device device) {
  for (const Batch& batch : {Batch{2, 64, 8, 16}, Batch{2, 20, 3, 5}}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const std::vector<at::Tensor> actual = results(batch, type, device, type);
      const std::vector<at::Tensor> expected = results(batch, type, at::kCPU, at::kDouble);
      const double tolerance = type == at::kBFloat16 ? 0x1p-7 : 1e-4;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const at::Tensor error = (actual[i].to(at::kCPU, at::kDouble) - expected[i]).abs().max();
        TORCH_CHECK(error.le(tolerance * expected[i].abs().max()).item<bool>(),
                    "group normalisation of ", batch.channels, " channels is wrong in ", type);
      }
    }
  }
}

}  // namespace cdm::ops
