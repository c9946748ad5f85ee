// SPDX-License-Identifier: MIT
// The CUDA kernels of an update of the weights. What a block does is in update_block.h.
#include "device/check_cuda.h"
#include "train/update_launch.h"

namespace cdm::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kDecidingThreads = 512;

template <int kSize>
class DeviceBlock {
 public:
  __device__ explicit DeviceBlock(double* shared) : shared_(shared) {}
  __device__ std::int64_t index() const { return blockIdx.x; }
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ static constexpr int threads() { return kSize; }
  __device__ void sync() const { __syncthreads(); }
  __device__ double* shared() const { return shared_; }

 private:
  double* shared_;
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_squares_kernel(const __grid_constant__ UpdateTable<T> table, double* partial) {
  __shared__ double shared[kThreads];
  const UpdateBlock<T, DeviceBlock<kThreads>> block{DeviceBlock<kThreads>(shared)};
  block.sum_squares(table, partial);
}

template <class T>
__global__ void __launch_bounds__(kDecidingThreads)
    decide_kernel(const __grid_constant__ UpdateRules rules,
                  const __grid_constant__ Decision<T> decision) {
  __shared__ double shared[kDecidingThreads];
  const UpdateBlock<T, DeviceBlock<kDecidingThreads>> block{DeviceBlock<kDecidingThreads>(shared)};
  block.decide(rules, decision);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    update_kernel(const __grid_constant__ UpdateTable<T> table,
                  const __grid_constant__ UpdateRules rules, const UpdateFactors* factors) {
  const UpdateBlock<T, DeviceBlock<kThreads>> block{DeviceBlock<kThreads>(nullptr)};
  block.update(table, rules, *factors);
}

void check_launch() { check_cuda(cudaGetLastError(), "update of the weights"); }

}  // namespace

template <class T>
void launch_sum_squares(const UpdateTable<T>& table, double* partial, void* stream) {
  sum_squares_kernel<T>
      <<<static_cast<unsigned>(table.chunks), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
          table, partial);
  check_launch();
}

template <class T>
void launch_decide(const UpdateRules& rules, const Decision<T>& decision, void* stream) {
  decide_kernel<T><<<1, kDecidingThreads, 0, static_cast<cudaStream_t>(stream)>>>(rules, decision);
  check_launch();
}

template <class T>
void launch_update(const UpdateTable<T>& table, const UpdateRules& rules,
                   const UpdateFactors* factors, void* stream) {
  update_kernel<T>
      <<<static_cast<unsigned>(table.chunks), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
          table, rules, factors);
  check_launch();
}

CDM_UPDATE_LAUNCHERS(float)
CDM_UPDATE_LAUNCHERS(double)

}  // namespace cdm::cuda
