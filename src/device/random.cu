// SPDX-License-Identifier: MIT
// Random numbers drawn on the GPU. A thread makes one Philox block (four numbers) of a row at a
// time, or one integer.
#include "device/check_cuda.h"
#include "device/random_launch.h"

namespace cdm::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void fill_rows_kernel(float* out, std::int64_t blocks, std::int64_t blocks_per_row,
                                 std::int64_t row_size, PhiloxRows rows,
                                 Distribution distribution) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < blocks;
       i += stride) {
    const std::int64_t row = i / blocks_per_row;
    const std::int64_t block = i - row * blocks_per_row;
    float numbers[kNumbersPerBlock];
    philox_block(rows.row(row), static_cast<std::uint64_t>(block), distribution, numbers);
    const std::int64_t begin = block * kNumbersPerBlock;
    for (int k = 0; k < kNumbersPerBlock && begin + k < row_size; ++k) {
      out[row * row_size + begin + k] = numbers[k];
    }
  }
}

__global__ void fill_integers_kernel(std::int64_t* out, std::int64_t count, std::int64_t bound,
                                     PhiloxRows rows) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) out[i] = philox_integer(rows.row(i), bound);
}

__global__ void write_random_rows_kernel(std::int64_t* out, PhiloxRows rows, std::uint64_t purpose,
                                         std::int64_t first_row) {
  out[0] = static_cast<std::int64_t>(philox_key(seed_of(rows.row(0)), purpose));
  out[1] = first_row;
}

unsigned blocks_for(std::int64_t threads) {
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

void check_launch() { check_cuda(cudaGetLastError(), "random numbers"); }

}  // namespace

void fill_rows(float* out, std::int64_t count, std::int64_t row_size, const PhiloxRows& rows,
               Distribution distribution, void* stream) {
  const std::int64_t blocks_per_row = (row_size + kNumbersPerBlock - 1) / kNumbersPerBlock;
  const std::int64_t blocks = count * blocks_per_row;
  constexpr unsigned kMaxGrid = 1 << 16;
  const unsigned grid = blocks < std::int64_t{kMaxGrid} * kThreads ? blocks_for(blocks) : kMaxGrid;
  fill_rows_kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      out, blocks, blocks_per_row, row_size, rows, distribution);
  check_launch();
}

void fill_integers(std::int64_t* out, std::int64_t count, std::int64_t bound,
                   const PhiloxRows& rows, void* stream) {
  fill_integers_kernel<<<blocks_for(count), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      out, count, bound, rows);
  check_launch();
}

void write_random_rows(std::int64_t* out, const PhiloxRows& rows, std::uint64_t purpose,
                       std::int64_t first_row, void* stream) {
  write_random_rows_kernel<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(out, rows, purpose,
                                                                           first_row);
  check_launch();
}

}  // namespace cdm::cuda
