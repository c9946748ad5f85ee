// SPDX-License-Identifier: MIT
#include "ops/attention/rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/_softmax_backward_data.h>

#include "ops/attention/launch.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

/// Whether the rows of x go through this project's kernels.
bool by_kernel(const at::Tensor& x) {
  if (!has_kernels(x)) return false;
  switch (x.scalar_type()) {
    case at::kFloat:
      return x.size(2) <= cuda::kMaxColumns<float>;
    case at::kDouble:
      return x.size(2) <= cuda::kMaxColumns<double>;
    default:
      return x.size(2) <= cuda::kMaxColumns<cuda::Bfloat16>;
  }
}

std::int64_t row_count(const at::Tensor& x) { return x.size(0) * x.size(1); }

}  // namespace

at::Tensor softmax_rows(const at::Tensor& s, double scale) {
  if (!by_kernel(s)) return at::_softmax(s.mul_(scale), 2, /*half_to_float=*/false);
  call_kernel(s, [&]<class T>(T, void* stream) {
    cuda::softmax_rows<T>(row_count(s), s.size(2), scale, data<T>(s), stream);
  });
  return s;
}

at::Tensor softmax_rows_gradient(const at::Tensor& p, const at::Tensor& grad_p, double scale) {
  if (!by_kernel(p)) {
    return at::_softmax_backward_data(grad_p, p, 2, p.scalar_type()).mul_(scale);
  }
  call_kernel(p, [&]<class T>(T, void* stream) {
    cuda::softmax_rows_gradient<T>(row_count(p), p.size(2), scale, data<T>(p), data<T>(grad_p),
                                   data<T>(grad_p), stream);
  });
  return grad_p;
}

SoftmaxSecondResult softmax_rows_second(const at::Tensor& p, const at::Tensor& grad_s,
                                        const at::Tensor& a, const at::Tensor& g, double scale) {
  if (by_kernel(p)) {
    call_kernel(p, [&]<class T>(T, void* stream) {
      cuda::softmax_rows_second<T>(
          row_count(p), p.size(2), scale,
          {data<T>(p), data<T>(grad_s), data<T>(a), data<T>(g), data<T>(a), data<T>(g)}, stream);
    });
    return {a, g};
  }
  const at::Tensor d = a.sub_((p * a).sum(2, true)).mul_(scale);
  const at::Tensor to_grad_p = p * d;
  const at::Tensor w = d.mul_(grad_s).addcmul_(p, g, scale);
  return {to_grad_p, w.addcmul_(p, w.sum(2, true), -1.0)};
}

}  // namespace cdm::ops
