// SPDX-License-Identifier: MIT
// Launches the kernels of kernels.cu: group normalisation of a whole batch on a GPU. Plain C++, so
// that no CUDA or LibTorch header is needed to call them. Formulas are in arithmetic.h.
#pragma once

#include <cstdint>

#include "ops/group_norm/arithmetic.h"
#include "ops/group_norm/bfloat16.h"

namespace cdm::cuda {

/// How a batch is divided among blocks of threads. A block has the channels of one or more whole
/// groups of one image. Thread (row, channel) of a block works on that channel of every rows-th
/// pixel, beginning with pixel `row`.
struct NormLayout {
  std::int64_t batch;
  ops::NormShape shape;
  int channels;  // per block
  int rows;      // per block

  std::int64_t blocks() const { return batch * (shape.channels / channels); }
  int threads() const { return rows * channels; }
};

/// The most channels that a group may have. A group must fit into one block of threads.
constexpr std::int64_t kMaxGroupWidth = 512;

/// A layout with at most `threads` threads per block; more when a group has more channels than
/// that.
inline NormLayout norm_layout(std::int64_t batch, ops::NormShape shape,
                              std::int64_t threads = 256) {
  constexpr std::int64_t kChannels = 32;  // the threads of a warp then read neighbouring elements
  const std::int64_t width = shape.channels / shape.groups;
  std::int64_t groups = kChannels / width;
  if (groups < 1) groups = 1;
  while (shape.groups % groups != 0) --groups;
  const std::int64_t channels = groups * width;
  const std::int64_t rows = channels < threads ? threads / channels : 1;
  return {batch, shape, static_cast<int>(channels), static_cast<int>(rows)};
}

// T is float, double or Bfloat16. All arrays are memory of the current device, and `stream` is a
// cudaStream_t of it. Each function throws std::runtime_error when the launch fails, or in a build
// without CUDA.

/// Writes y, in.mean and in.rstd.
template <class T>
void norm_forward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in, double eps, T* y,
                  void* stream);
template <class T>
void norm_backward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in,
                   const ops::NormBackward<T, Sum<T>>& out, void* stream);
template <class T>
void norm_double_backward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in,
                          const ops::NormDoubleBackward<T, Sum<T>>& out, void* stream);

// Instantiates the three functions for one type, after their definition.
#define CDM_NORM_LAUNCHERS(T)                                                                    \
  template void norm_forward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&, double, T*, \
                                void*);                                                          \
  template void norm_backward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&,            \
                                 const ops::NormBackward<T, Sum<T>>&, void*);                    \
  template void norm_double_backward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&,     \
                                        const ops::NormDoubleBackward<T, Sum<T>>&, void*);

}  // namespace cdm::cuda
