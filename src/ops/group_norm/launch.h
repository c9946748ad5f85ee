// SPDX-License-Identifier: MIT
// Launchers of kernels.cu: group normalisation of a whole batch on a GPU. Plain C++: no CUDA or
// LibTorch header is needed to call them. Formulas are in arithmetic.h.
#pragma once

#include <cstdint>

#include "ops/group_norm/arithmetic.h"
#include "ops/group_norm/bfloat16.h"

namespace cdm::cuda {

/// How a batch is shared out: every block of threads has one image's channels of some whole groups.
/// Thread (row, channel) of a block looks at that channel of every rows-th pixel.
struct NormLayout {
  std::int64_t batch;
  ops::NormShape shape;
  int channels;  // of a block
  int rows;

  std::int64_t blocks() const { return batch * (shape.channels / channels); }
  int threads() const { return rows * channels; }
};

/// A group's channels are one block's: wider groups have no kernel.
constexpr std::int64_t kMaxGroupWidth = 512;

/// Blocks of `threads` threads or a little fewer; of more where a group has more channels.
inline NormLayout norm_layout(std::int64_t batch, ops::NormShape shape,
                              std::int64_t threads = 256) {
  constexpr std::int64_t kChannels = 32;  // of 4 bytes: what a warp reads at once
  const std::int64_t width = shape.channels / shape.groups;
  std::int64_t groups = kChannels / width;
  if (groups < 1) groups = 1;
  while (shape.groups % groups != 0) --groups;
  const std::int64_t channels = groups * width;
  const std::int64_t rows = channels < threads ? threads / channels : 1;
  return {batch, shape, static_cast<int>(channels), static_cast<int>(rows)};
}

// All arrays are device memory, of T = float, double or Bfloat16; `stream` is a cudaStream_t of the
// current device. They throw std::runtime_error when the launch fails, or in a build without CUDA.

/// y, mean and rstd.
template <class T>
void norm_forward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in, double eps, T* y,
                  void* stream);
template <class T>
void norm_backward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in,
                   const ops::NormBackward<T, Sum<T>>& out, void* stream);
template <class T>
void norm_double_backward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in,
                          const ops::NormDoubleBackward<T, Sum<T>>& out, void* stream);

// Makes the three of one type, where they are defined.
#define CDM_NORM_LAUNCHERS(T)                                                                    \
  template void norm_forward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&, double, T*, \
                                void*);                                                          \
  template void norm_backward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&,            \
                                 const ops::NormBackward<T, Sum<T>>&, void*);                    \
  template void norm_double_backward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&,     \
                                        const ops::NormDoubleBackward<T, Sum<T>>&, void*);

}  // namespace cdm::cuda
