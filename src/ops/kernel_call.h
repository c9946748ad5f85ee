// SPDX-License-Identifier: MIT
// What operations need to call this project's own CUDA kernels.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include "cdm/device/cuda_kernels.h"
#include "device/on_device.h"
#include "ops/group_norm/bfloat16.h"

namespace cdm::ops {

/// Whether this project's kernels may compute with x: they are on, x is on a GPU and not empty.
inline bool has_kernels(const at::Tensor& x) {
  const at::ScalarType type = x.scalar_type();
  return x.is_cuda() && own_cuda_kernels() && x.numel() > 0 &&
         (type == at::kFloat || type == at::kDouble || type == at::kBFloat16);
}

/// The type of sums of numbers of type `type`.
inline at::ScalarType sum_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

inline at::Tensor channels_last(const at::Tensor& x) {
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

template <class T>
T* data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

/// Calls body(T{}, stream) with x's type as T, and with the GPU of x as the current device.
template <class Body>
void call_kernel(const at::Tensor& x, const Body& body) {
  const cuda::OnDevice on_device(x.device());
  switch (x.scalar_type()) {
    case at::kFloat:
      return body(float{}, on_device.stream());
    case at::kDouble:
      return body(double{}, on_device.stream());
    case at::kBFloat16:
      return body(cuda::Bfloat16{}, on_device.stream());
    default:
      TORCH_CHECK(false, "no kernel for numbers of type ", x.scalar_type());
  }
}

}  // namespace cdm::ops
