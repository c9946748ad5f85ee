// SPDX-License-Identifier: MIT
#include <ATen/ops/empty.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "device/philox_numbers.h"
#include "ops/group_norm/batches.h"
#include "ops/group_norm/launch.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

using cuda::NormDropout;
using cuda::NormLayout;
using cuda::NormPass;
using cuda::Sum;

bool are_aligned(std::initializer_list<at::Tensor> tensors) {
  constexpr std::uintptr_t kBytes = 16;
  for (const at::Tensor& tensor : tensors) {
    if (reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % kBytes != 0) return false;
  }
  return true;
}

/// Calls body(T{}, layout, stream), which launches a kernel of a pass that reads `tensors`, with
/// the GPU of x as current device. T is the type of x.
template <class Body>
void on_gpu(NormPass pass, const NormCall& call, std::initializer_list<at::Tensor> tensors,
            const Body& body) {
  call_kernel(call.x, [&]<class T>(T, void* stream) {
    const NormLayout layout = cuda::norm_layout(
        pass, call.x.size(0), norm_shape(call),
        {sizeof(T), sizeof(Sum<T>), cuda::most_shared_memory(), are_aligned(tensors)});
    body(T{}, layout, stream);
  });
}

NormDropout dropout_of(const NormCall& call) {
  const double rate = call.dropout.rate;
  if (rate <= 0.0) return {};
  // Float, because the plain version compares floats.
  const float threshold = std::ceil(static_cast<float>(rate) / kPhiloxUnit);
  return {norm_data<std::int64_t>(call.dropout.rows),
          static_cast<std::uint64_t>(call.dropout.layer), static_cast<std::uint32_t>(threshold),
          1.0 / (1.0 - rate), norm_data<std::uint8_t>(call.kept)};
}

}  // namespace

at::Tensor forward_on_gpu(const NormCall& any, double eps, const at::Tensor& y) {
  NormCall call = any;
  on_gpu(
      NormPass::forward, call, {call.x}, [&]<class T>(T, const NormLayout& layout, void* stream) {
        if (layout.staged && call.dropout.rate > 0.0) {
          call.kept = at::empty({cuda::norm_mask_bytes(layout)}, call.x.options().dtype(at::kByte));
        }
        cuda::norm_forward<T>(layout, norm_input<T, Sum<T>>(call), dropout_of(call), eps,
                              norm_data<T>(y), stream);
      });
  return call.kept;
}

void backward_on_gpu(const NormCall& call, const at::Tensor& grad_y, const BackwardResult& out) {
  on_gpu(NormPass::backward, call, {call.x, grad_y},
         [&]<class T>(T, const NormLayout& layout, void* stream) {
           cuda::norm_backward<T>(layout, norm_input<T, Sum<T>>(call), dropout_of(call),
                                  norm_backward_of<T, Sum<T>>(grad_y, out), stream);
         });
}

void double_backward_on_gpu(const NormCall& call, const at::Tensor& grad_y, const NormCotangents& v,
                            const DoubleBackwardResult& out) {
  on_gpu(NormPass::double_backward, call, {call.x, grad_y, v.x},
         [&]<class T>(T, const NormLayout& layout, void* stream) {
           cuda::norm_double_backward<T>(layout, norm_input<T, Sum<T>>(call), dropout_of(call),
                                         norm_double_backward_of<T, Sum<T>>(grad_y, v, out),
                                         stream);
         });
}

std::vector<at::Tensor> sum_over_batch(const std::vector<at::Tensor>& parts) {
  std::vector<at::Tensor> totals;
  if (parts.empty() || parts[0].is_cpu()) {
    for (const at::Tensor& part : parts) totals.push_back(part.sum(0));
    return totals;
  }
  for (const at::Tensor& part : parts) totals.push_back(at::empty({part.size(1)}, part.options()));
  call_kernel(parts[0], [&]<class T>(T, void* stream) {
    using S = Sum<T>;  // T itself: sums are never bfloat16
    cuda::BatchSums<S> sums = {};
    for (const at::Tensor& part : parts) {
      sums.in[sums.count] = norm_data<S>(part);
      sums.out[sums.count] = norm_data<S>(totals[static_cast<std::size_t>(sums.count)]);
      ++sums.count;
    }
    cuda::norm_batch_sums(sums, parts[0].size(0), parts[0].size(1), stream);
  });
  return totals;
}

}  // namespace cdm::ops
