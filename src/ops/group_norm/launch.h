// SPDX-License-Identifier: MIT
// Launches the kernels of group normalisation for a whole batch on a GPU. Plain C++, so that no
// CUDA or LibTorch header is needed to call them. Formulas are in arithmetic.h.
#pragma once

#include <cstdint>

#include "ops/group_norm/arithmetic.h"
#include "ops/group_norm/bfloat16.h"
#include "ops/group_norm/layout.h"

namespace cdm::cuda {

/// Dropout after the activation. An element is kept where its number of the random stream, a
/// multiple of 2^-24, is at least threshold * 2^-24.
///
/// The staged forward pass draws the numbers and writes a mask of one bit an element, which the
/// derivatives read. To draw again, they would need about 20 instructions an element, as many as
/// all else that the first derivative does; a bit costs a sixteenth of the traffic of a bfloat16.
/// The other version of the passes draws each time.
struct NormDropout {
  const std::int64_t* rows = nullptr;  // random_rows() (device/random_rows.h); null: no dropout
  std::uint64_t layer = 0;             // index of the random stream
  std::uint32_t threshold = 0;
  double scale = 1.0;            // of the elements that are kept
  std::uint8_t* bits = nullptr;  // norm_mask_bytes() bytes
};

// T is float, double or Bfloat16. All arrays are memory of the current device, and `stream` is a
// cudaStream_t of it. Each function throws std::runtime_error when the launch fails, or in a build
// without CUDA. The layout is one for the pass of that name.

/// Writes y, in.mean and in.rstd.
template <class T>
void norm_forward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in,
                  const NormDropout& dropout, double eps, T* y, void* stream);
template <class T>
void norm_backward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in,
                   const NormDropout& dropout, const ops::NormBackward<T, Sum<T>>& out,
                   void* stream);
template <class T>
void norm_double_backward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in,
                          const NormDropout& dropout, const ops::NormDoubleBackward<T, Sum<T>>& out,
                          void* stream);

/// Up to three arrays of sums, [batch, channels] each, to be added up over the batch.
template <class S>
struct BatchSums {
  const S* in[3];
  S* out[3];  // [channels]
  int count;
};
template <class S>
void norm_batch_sums(const BatchSums<S>& sums, std::int64_t batch, std::int64_t channels,
                     void* stream);

/// The most shared memory, in bytes, that a block of the current device may have.
std::int64_t most_shared_memory();

}  // namespace cdm::cuda
