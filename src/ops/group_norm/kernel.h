// SPDX-License-Identifier: MIT
// What the kernels of forward.cu, backward.cu and double_backward.cu share.
#pragma once

#include <cuda_pipeline_primitives.h>

#include "device/check_cuda.h"
#include "ops/group_norm/block_passes.h"

namespace cdm::cuda {

class DeviceBlock {
 public:
  __device__ std::int64_t index() const { return blockIdx.x; }
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ void* shared() const {
    extern __shared__ uint4 memory[];
    return memory;
  }
  __device__ void copy(void* to, const void* from) const {
    __pipeline_memcpy_async(to, from, kVectorBytes);
  }
  __device__ void sync() const { __syncthreads(); }
  __device__ void sync_copies() const {
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
  }
  template <class S, int Count>
  __device__ void add_from_lane(S (&values)[Count], int offset) const {
    CDM_UNROLL_ALL
    for (int i = 0; i < Count; ++i) values[i] += __shfl_xor_sync(0xffffffffU, values[i], offset);
  }
};

/// The most threads that a block of norm_layout() may have, and how many such blocks an SM should
/// hold at least. The compiler limits the registers of a thread to that.
template <class T>
constexpr int norm_threads(bool staged, NormPass pass) {
  const bool doubled = pass == NormPass::double_backward && sizeof(T) <= sizeof(float);
  return staged && !doubled ? 256 : 512;
}
template <class T>
constexpr int norm_blocks(bool staged, NormPass pass) {
  if (!staged || sizeof(T) > sizeof(float)) return 1;
  return pass == NormPass::forward ? 4 : pass == NormPass::backward ? 3 : 1;
}

inline void check(cudaError_t error) { check_cuda(error, "group normalisation"); }

/// Launches one of the kernels of a pass: with or without SiLU, and with slabs (staged) or without.
template <class... Parameters>
void launch(void (*silu_staged)(NormLayout, Parameters...), void (*silu)(NormLayout, Parameters...),
            void (*staged)(NormLayout, Parameters...), void (*plain)(NormLayout, Parameters...),
            const NormLayout& layout, void* stream, const Parameters&... arguments) {
  if (layout.blocks() == 0) return;
  auto* const kernel =
      layout.shape.silu ? (layout.staged ? silu_staged : silu) : (layout.staged ? staged : plain);
  constexpr std::int64_t kWithoutAsking = 48 << 10;
  if (layout.shared > kWithoutAsking) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(layout.shared)));
  }
  kernel<<<static_cast<unsigned>(layout.blocks()), static_cast<unsigned>(layout.threads),
           static_cast<std::size_t>(layout.shared), static_cast<cudaStream_t>(stream)>>>(
      layout, arguments...);
  check(cudaGetLastError());
}

}  // namespace cdm::cuda
