// SPDX-License-Identifier: MIT
// The passes of group normalisation over a batch, for each kind of processor. Images are
// channels_last, all other tensors contiguous. Results are written into tensors that are there
// already; sums over pixels are [B, C].
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/group_norm/arithmetic.h"
#include "ops/group_norm/passes.h"

namespace cdm::ops {

/// Writes y, call.mean and call.rstd. Returns NormCall::kept.
at::Tensor forward_on_cpu(const NormCall& call, double eps, const at::Tensor& y);
at::Tensor forward_on_gpu(const NormCall& call, double eps, const at::Tensor& y);

/// Sums that are undefined are not wanted; but on the CPU, gamma and beta must be there.
void backward_on_cpu(const NormCall& call, const at::Tensor& grad_y, const BackwardResult& out);
void backward_on_gpu(const NormCall& call, const at::Tensor& grad_y, const BackwardResult& out);

/// The shift of `out` may be undefined: not wanted. v.x must be there.
void double_backward_on_cpu(const NormCall& call, const at::Tensor& grad_y, const NormCotangents& v,
                            const DoubleBackwardResult& out);
void double_backward_on_gpu(const NormCall& call, const at::Tensor& grad_y, const NormCotangents& v,
                            const DoubleBackwardResult& out);

/// Up to three tensors [B, C], each added up over the batch: [C].
std::vector<at::Tensor> sum_over_batch(const std::vector<at::Tensor>& parts);

/// The memory of a tensor; null where it is undefined.
template <class T>
T* norm_data(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

// The arguments of loops and kernels. T is the type of x, S that of sums.

inline NormShape norm_shape(const NormCall& call) {
  return {call.x.size(2) * call.x.size(3), call.x.size(1), call.mean.size(1), call.silu};
}

template <class T, class S>
NormInput<T, S> norm_input(const NormCall& call) {
  const bool per_image = call.shift.defined() && call.shift.size(0) > 1;
  return {norm_data<T>(call.x),     norm_data<S>(call.shift), per_image ? call.x.size(1) : 0,
          norm_data<S>(call.gamma), norm_data<S>(call.beta),  norm_data<S>(call.mean),
          norm_data<S>(call.rstd)};
}

template <class T, class S>
NormBackward<T, S> norm_backward_of(const at::Tensor& grad_y, const BackwardResult& out) {
  return {norm_data<T>(grad_y), norm_data<T>(out.x), norm_data<S>(out.gamma),
          norm_data<S>(out.beta), norm_data<S>(out.shift)};
}

template <class T, class S>
NormDoubleBackward<T, S> norm_double_backward_of(const at::Tensor& grad_y, const NormCotangents& v,
                                                 const DoubleBackwardResult& out) {
  return {norm_data<T>(grad_y),      norm_data<T>(v.x),          norm_data<S>(v.gamma),
          norm_data<S>(v.beta),      norm_data<S>(v.shift),      norm_data<T>(out.grad_y),
          norm_data<T>(out.to.x),    norm_data<S>(out.to.gamma), norm_data<S>(out.to.beta),
          norm_data<S>(out.to.shift)};
}

}  // namespace cdm::ops
