// SPDX-License-Identifier: MIT
#include "device/check_cuda.h"
#include "ops/attention/block.h"

namespace cdm::cuda {
namespace {

template <class S>
struct DeviceBlock {
  S* memory;

  __device__ int index() const { return static_cast<int>(blockIdx.x); }
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ void sync() const { __syncthreads(); }
  __device__ S* shared() const { return memory; }
  __device__ S shuffle_xor(S value, int mask) const {
    return __shfl_xor_sync(0xffffffffU, value, mask);
  }
};

constexpr int kMostWarps = 32;  // of a block
constexpr int kMostThreads = 32 * kMostWarps;

template <class T, bool kPacked>
__global__ void __launch_bounds__(kMostThreads)
    softmax_kernel(RowLayout layout, double scale, T* s) {
  __shared__ Sum<T> memory[kMostWarps];
  const DeviceBlock<Sum<T>> block = {memory};
  RowBlock<T, kPacked, DeviceBlock<Sum<T>>>(block, layout).softmax(static_cast<Sum<T>>(scale), s);
}

template <class T, bool kPacked>
__global__ void __launch_bounds__(kMostThreads)
    gradient_kernel(RowLayout layout, double scale, const T* p, const T* grad_p, T* grad_s) {
  __shared__ Sum<T> memory[kMostWarps];
  const DeviceBlock<Sum<T>> block = {memory};
  RowBlock<T, kPacked, DeviceBlock<Sum<T>>>(block, layout)
      .gradient(static_cast<Sum<T>>(scale), p, grad_p, grad_s);
}

template <class T, bool kPacked>
__global__ void __launch_bounds__(kMostThreads)
    second_kernel(RowLayout layout, double scale, SoftmaxSecond<T> arrays) {
  __shared__ Sum<T> memory[kMostWarps];
  const DeviceBlock<Sum<T>> block = {memory};
  RowBlock<T, kPacked, DeviceBlock<Sum<T>>>(block, layout)
      .second(static_cast<Sum<T>>(scale), arrays);
}

template <class Kernel, class... Arguments>
void launch(Kernel* packed, Kernel* single, bool fits, const RowLayout& layout, double scale,
            void* stream, const Arguments&... arguments) {
  const auto kernel = fits ? packed : single;
  kernel<<<static_cast<unsigned>(layout.blocks()), static_cast<unsigned>(layout.threads), 0,
           static_cast<cudaStream_t>(stream)>>>(layout, scale, arguments...);
  check_cuda(cudaGetLastError(), "softmax");
}

}  // namespace

template <class T>
void softmax_rows(std::int64_t rows, std::int64_t columns, double scale, T* s, void* stream) {
  launch(softmax_kernel<T, true>, softmax_kernel<T, false>, packs_fit<T>(columns, s),
         row_layout<T>(rows, columns), scale, stream, s);
}

template <class T>
void softmax_rows_gradient(std::int64_t rows, std::int64_t columns, double scale, const T* p,
                           const T* grad_p, T* grad_s, void* stream) {
  launch(gradient_kernel<T, true>, gradient_kernel<T, false>,
         packs_fit<T>(columns, p, grad_p, grad_s), row_layout<T>(rows, columns), scale, stream, p,
         grad_p, grad_s);
}

template <class T>
void softmax_rows_second(std::int64_t rows, std::int64_t columns, double scale,
                         const SoftmaxSecond<T>& a, void* stream) {
  launch(second_kernel<T, true>, second_kernel<T, false>,
         packs_fit<T>(columns, a.p, a.grad_s, a.a, a.g, a.to_grad_p, a.to_s),
         row_layout<T>(rows, columns), scale, stream, a);
}

CDM_SOFTMAX_LAUNCHERS(float)
CDM_SOFTMAX_LAUNCHERS(double)
CDM_SOFTMAX_LAUNCHERS(Bfloat16)

}  // namespace cdm::cuda
