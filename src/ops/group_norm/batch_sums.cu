// SPDX-License-Identifier: MIT
// Sums of each image's channels over a batch. The order of additions is fixed.
#include "ops/group_norm/kernel.h"

namespace cdm::cuda {
namespace {

constexpr int kRows = 16;  // threads that share a channel's images

template <class S>
__global__ void __launch_bounds__(kWarp* kRows)
    batch_sums_kernel(const __grid_constant__ BatchSums<S> sums, std::int64_t batch,
                      std::int64_t channels) {
  __shared__ S partial[kRows][kWarp];
  const auto lane = static_cast<int>(threadIdx.x) % kWarp;
  const auto row = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.x) * kWarp + lane;
  const bool is_one = channel < channels;
  const S* const in = sums.in[blockIdx.y];
  S all = S(0);
  for (std::int64_t image = row; is_one && image < batch; image += kRows) {
    all += in[image * channels + channel];
  }
  partial[row][lane] = all;
  __syncthreads();
  if (row != 0 || !is_one) return;
  for (int r = 1; r < kRows; ++r) all += partial[r][lane];
  sums.out[blockIdx.y][channel] = all;
}

}  // namespace

template <class S>
void norm_batch_sums(const BatchSums<S>& sums, std::int64_t batch, std::int64_t channels,
                     void* stream) {
  if (sums.count == 0) return;
  const dim3 grid(static_cast<unsigned>((channels + kWarp - 1) / kWarp),
                  static_cast<unsigned>(sums.count));
  batch_sums_kernel<<<grid, kWarp * kRows, 0, static_cast<cudaStream_t>(stream)>>>(sums, batch,
                                                                                   channels);
  check(cudaGetLastError());
}

template void norm_batch_sums<float>(const BatchSums<float>&, std::int64_t, std::int64_t, void*);
template void norm_batch_sums<double>(const BatchSums<double>&, std::int64_t, std::int64_t, void*);

std::int64_t most_shared_memory() {
  int device = 0;
  int bytes = 0;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return bytes;
}

}  // namespace cdm::cuda
