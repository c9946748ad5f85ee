// SPDX-License-Identifier: MIT
// Random numbers drawn on the GPU. A thread makes one Philox block (four numbers) of a row at a
// time.
#include <stdexcept>
#include <string>

#include "device/random_launch.h"

namespace cdm::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void fill_rows_kernel(float* out, std::int64_t blocks, std::int64_t blocks_per_row,
                                 std::int64_t row_size, PhiloxRow first_row,
                                 Distribution distribution) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < blocks;
       i += stride) {
    const std::int64_t row = i / blocks_per_row;
    const std::int64_t block = i - row * blocks_per_row;
    float numbers[kNumbersPerBlock];
    philox_block({first_row.key, first_row.subsequence + static_cast<std::uint64_t>(row)},
                 static_cast<std::uint64_t>(block), distribution, numbers);
    const std::int64_t begin = block * kNumbersPerBlock;
    for (int k = 0; k < kNumbersPerBlock && begin + k < row_size; ++k) {
      out[row * row_size + begin + k] = numbers[k];
    }
  }
}

}  // namespace

void fill_rows(float* out, std::int64_t rows, std::int64_t row_size, PhiloxRow first_row,
               Distribution distribution, void* stream) {
  const std::int64_t blocks_per_row = (row_size + kNumbersPerBlock - 1) / kNumbersPerBlock;
  const std::int64_t blocks = rows * blocks_per_row;
  constexpr std::int64_t kMaxGrid = 1 << 16;
  const std::int64_t grid = (blocks + kThreads - 1) / kThreads;
  fill_rows_kernel<<<static_cast<unsigned>(grid < kMaxGrid ? grid : kMaxGrid), kThreads, 0,
                     static_cast<cudaStream_t>(stream)>>>(out, blocks, blocks_per_row, row_size,
                                                          first_row, distribution);
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) {
    throw std::runtime_error(std::string("random numbers on the GPU: ") +
                             cudaGetErrorString(error));
  }
}

}  // namespace cdm::cuda
