// SPDX-License-Identifier: MIT
#include "ops/group_norm/passes.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include <vector>

#include "ops/group_norm/batches.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

at::Tensor contiguous(const at::Tensor& x) { return x.defined() ? x.contiguous() : x; }

/// The call with its tensors in the layout that loops and kernels expect.
NormCall laid_out(NormCall call) {
  call.x = channels_last(call.x);
  call.gamma = call.gamma.contiguous();
  call.beta = call.beta.contiguous();
  call.shift = contiguous(call.shift);
  return call;
}

/// A sum per image and channel of x.
at::Tensor sums_like(const at::Tensor& x) {
  return at::empty({x.size(0), x.size(1)}, x.options().dtype(sum_type(x.scalar_type())));
}

/// Adds up over the batch what all images share.
void add_up(const NormCall& call, BackwardResult& sums, NormSums wanted) {
  const bool one_shift = wanted.shift && call.shift.size(0) == 1;
  std::vector<at::Tensor> parts;
  if (wanted.parameters) parts = {sums.gamma, sums.beta};
  if (one_shift) parts.push_back(sums.shift);
  const std::vector<at::Tensor> totals = sum_over_batch(parts);
  if (wanted.parameters) {
    sums.gamma = totals[0];
    sums.beta = totals[1];
  } else {
    sums.gamma.reset();
    sums.beta.reset();
  }
  if (one_shift) sums.shift = totals.back().unsqueeze(0);
}

}  // namespace

at::Tensor group_norm_forward(NormCall& call, std::int64_t groups, double eps) {
  const auto statistics = [&] {
    return at::empty({call.x.size(0), groups},
                     call.x.options().dtype(sum_type(call.x.scalar_type())));
  };
  call.mean = statistics();
  call.rstd = statistics();
  const NormCall inner = laid_out(call);
  const at::Tensor y = at::empty_like(inner.x);
  call.kept = call.x.is_cuda() ? forward_on_gpu(inner, eps, y) : forward_on_cpu(inner, eps, y);
  return y;
}

BackwardResult group_norm_backward(const NormCall& any, const at::Tensor& grad_y, NormSums wanted) {
  const NormCall call = laid_out(any);
  const at::Tensor gy = channels_last(grad_y);
  BackwardResult result = {at::empty_like(call.x), {}, {}, {}};
  if (wanted.parameters || call.x.is_cpu()) {
    result.gamma = sums_like(call.x);
    result.beta = sums_like(call.x);
  }
  if (wanted.shift) result.shift = sums_like(call.x);
  if (call.x.is_cuda()) {
    backward_on_gpu(call, gy, result);
  } else {
    backward_on_cpu(call, gy, result);
  }
  add_up(call, result, wanted);
  return result;
}

DoubleBackwardResult group_norm_double_backward(const NormCall& any, const at::Tensor& grad_y,
                                                const NormCotangents& any_v, NormSums wanted) {
  const NormCall call = laid_out(any);
  const at::Tensor gy = channels_last(grad_y);
  const NormCotangents v = {any_v.x.defined() ? channels_last(any_v.x) : at::zeros_like(call.x),
                            contiguous(any_v.gamma), contiguous(any_v.beta),
                            contiguous(any_v.shift)};
  DoubleBackwardResult result = {
      at::empty_like(call.x), {at::empty_like(call.x), sums_like(call.x), sums_like(call.x), {}}};
  if (wanted.shift) result.to.shift = sums_like(call.x);
  if (call.x.is_cuda()) {
    double_backward_on_gpu(call, gy, v, result);
  } else {
    double_backward_on_cpu(call, gy, v, result);
  }
  add_up(call, result.to, wanted);
  return result;
}

}  // namespace cdm::ops
