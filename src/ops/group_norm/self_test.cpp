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

struct Case {
  std::int64_t images, channels, side, groups;
  bool silu;  // with dropout
  std::int64_t shifts;
};

/// Cases that take all versions of the kernels on GPUs from 96 KiB of shared memory a block on.
constexpr Case kCases[] = {
    {2, 64, 8, 16, true, 2},    // staged, with less shared memory than a kernel has unasked
    {2, 64, 8, 16, false, 0},   // the same without SiLU
    {2, 20, 3, 5, true, 1},     // channels that have no multiple of 8
    {2, 20, 3, 5, false, 0},    // the same without SiLU
    {2, 128, 32, 32, true, 1},  // slabs of 32 KiB, as most of the CIFAR-10 network's
    {2, 192, 32, 16, true, 2},  // larger slabs; lanes without channels
};

/// Standard normal numbers, rounded to the type in which they will be used.
at::Tensor numbers(std::uint64_t index, at::IntArrayRef shape, at::ScalarType type) {
  return normal({1, Purpose::noise, index}, shape, at::kFloat).to(type);
}

/// All results, computed on `device` in the type `type`, from numbers rounded to the type
/// `rounded`.
std::vector<at::Tensor> results(const Case& c, at::ScalarType rounded, at::Device device,
                                at::ScalarType type) {
  const auto image = [&](std::uint64_t index) {
    return numbers(index, {c.images, c.channels, c.side, c.side}, rounded).to(device, type);
  };
  const auto rows = [&](std::uint64_t index, std::int64_t count) {
    if (count == 0) return at::Tensor();
    return numbers(index, {count, c.channels}, at::kFloat).to(device, sum_type(type));
  };
  const auto row = [&](std::uint64_t index) { return rows(index, 1)[0]; };
  Dropout dropout;
  if (c.silu) dropout = {0.25, random_rows(1, Purpose::dropout, 5, device), 2};
  NormCall call = {image(0), row(1), row(2), rows(3, c.shifts), c.silu, dropout, {}, {}, {}};
  const at::Tensor y = group_norm_forward(call, c.groups, 1e-6);
  const at::Tensor grad_y = image(4);
  const NormSums all = {true, c.shifts > 0};
  const BackwardResult first = group_norm_backward(call, grad_y, all);
  const NormCotangents v = {image(5), row(6), row(7), rows(8, c.shifts)};
  const DoubleBackwardResult second = group_norm_double_backward(call, grad_y, v, all);
  std::vector<at::Tensor> list = {
      y,           first.x,         first.gamma,   first.beta, second.grad_y,
      second.to.x, second.to.gamma, second.to.beta};
  if (c.shifts > 0) list.insert(list.end(), {first.shift, second.to.shift});
  return list;
}

}  // namespace

void try_norm_kernels(c10::Device device) {
  for (const Case& c : kCases) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const std::vector<at::Tensor> actual = results(c, type, device, type);
      const std::vector<at::Tensor> expected = results(c, type, at::kCPU, at::kDouble);
      const double tolerance = type == at::kBFloat16 ? 0x1p-7 : 1e-4;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const at::Tensor error = (actual[i].to(at::kCPU, at::kDouble) - expected[i]).abs().max();
        TORCH_CHECK(error.le(tolerance * expected[i].abs().max()).item<bool>(),
                    "group normalisation of ", c.channels, " channels is wrong in ", type);
      }
    }
  }
}

}  // namespace cdm::ops
