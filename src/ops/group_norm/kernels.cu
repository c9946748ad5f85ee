// SPDX-License-Identifier: MIT
#include <stdexcept>
#include <string>

#include "ops/group_norm/block.h"

namespace cdm::cuda {
namespace {

using ops::NormBackward;
using ops::NormDoubleBackward;
using ops::NormInput;

template <class S>
struct DeviceBlock {
  S* memory;

  __device__ std::int64_t index() const { return blockIdx.x; }
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ void sync() const { __syncthreads(); }
  __device__ S* shared() const { return memory; }
};

template <class T>
__device__ DeviceBlock<Sum<T>> this_block() {
  extern __shared__ double memory[];
  return {reinterpret_cast<Sum<T>*>(memory)};
}

template <class Activation, class T>
__global__ void forward_kernel(NormLayout layout, NormInput<T, Sum<T>> in, double eps, T* y) {
  const auto block = this_block<T>();
  NormBlock<T, DeviceBlock<Sum<T>>>(block, layout, in).template forward<Activation>(in, eps, y);
}

template <class Activation, class T>
__global__ void backward_kernel(NormLayout layout, NormInput<T, Sum<T>> in,
                                NormBackward<T, Sum<T>> out) {
  const auto block = this_block<T>();
  NormBlock<T, DeviceBlock<Sum<T>>>(block, layout, in).template backward<Activation>(in, out);
}

template <class Activation, class T>
__global__ void double_backward_kernel(NormLayout layout, NormInput<T, Sum<T>> in,
                                       NormDoubleBackward<T, Sum<T>> out) {
  const auto block = this_block<T>();
  NormBlock<T, DeviceBlock<Sum<T>>>(block, layout, in)
      .template double_backward<Activation>(in, out);
}

template <class T, class... Parameters, class... Arguments>
void launch(void (*with_silu)(NormLayout, Parameters...),
            void (*without)(NormLayout, Parameters...), const NormLayout& layout, void* stream,
            const Arguments&... arguments) {
  if (layout.blocks() == 0) return;
  const auto kernel = layout.shape.silu ? with_silu : without;
  const std::size_t shared =
      sizeof(Sum<T>) * kNormSums * static_cast<std::size_t>(layout.threads());
  kernel<<<static_cast<unsigned>(layout.blocks()), static_cast<unsigned>(layout.threads()), shared,
           static_cast<cudaStream_t>(stream)>>>(layout, arguments...);
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) {
    throw std::runtime_error(std::string("group normalisation on the GPU: ") +
                             cudaGetErrorString(error));
  }
}

}  // namespace

template <class T>
void norm_forward(const NormLayout& layout, const NormInput<T, Sum<T>>& in, double eps, T* y,
                  void* stream) {
  launch<T>(forward_kernel<ops::Silu, T>, forward_kernel<ops::Identity, T>, layout, stream, in, eps,
            y);
}

template <class T>
void norm_backward(const NormLayout& layout, const NormInput<T, Sum<T>>& in,
                   const NormBackward<T, Sum<T>>& out, void* stream) {
  launch<T>(backward_kernel<ops::Silu, T>, backward_kernel<ops::Identity, T>, layout, stream, in,
            out);
}

template <class T>
void norm_double_backward(const NormLayout& layout, const NormInput<T, Sum<T>>& in,
                          const NormDoubleBackward<T, Sum<T>>& out, void* stream) {
  launch<T>(double_backward_kernel<ops::Silu, T>, double_backward_kernel<ops::Identity, T>, layout,
            stream, in, out);
}

CDM_NORM_LAUNCHERS(float)
CDM_NORM_LAUNCHERS(double)
CDM_NORM_LAUNCHERS(Bfloat16)

}  // namespace cdm::cuda
