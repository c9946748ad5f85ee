// SPDX-License-Identifier: MIT
// Launches the kernels of kernels.cu, which go over a batch of images channel by channel. Plain
// C++, so that no CUDA or LibTorch header is needed to call them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "device/host_device.h"
#include "ops/group_norm/bfloat16.h"

namespace cdm::cuda {

/// How a batch, seen as a matrix [pixels, C], is divided among blocks of threads. A column is a
/// vector of neighbouring channels, which a thread reads at once. A block has `width` columns of
/// every chunks-th group of `rows` pixels.
struct ChannelLayout {
  std::int64_t pixels, columns;
  int width, rows, chunks;

  CDM_HOST_DEVICE int tiles() const { return static_cast<int>((columns + width - 1) / width); }
  CDM_HOST_DEVICE int blocks() const { return tiles() * chunks; }
  CDM_HOST_DEVICE int threads() const { return width * rows; }
};

/// The most chunks of a batch. Sums over pixels are made per chunk, then over the chunks.
constexpr int kMaxChunks = 512;

/// `vector` is the number of channels in a column, and divides `channels`. It does not depend on
/// the GPU, so that sums do not either.
inline ChannelLayout channel_layout(std::int64_t pixels, std::int64_t channels, int vector,
                                    int threads = 256) {
  constexpr std::int64_t kPixelsPerThread = 8;
  // Neighbouring threads read whole cache lines of 128 bytes when 8 columns are 16 bytes each.
  const int width = vector > 1 ? 8 : 32;
  const int rows = threads / width;
  const std::int64_t per_chunk = rows * kPixelsPerThread;
  const std::int64_t chunks =
      std::min<std::int64_t>((pixels + per_chunk - 1) / per_chunk, kMaxChunks);
  return {pixels, channels / vector, width, rows, static_cast<int>(chunks)};
}

// T is float, double or Bfloat16. Arrays are memory of the current device, and `stream` is a
// cudaStream_t of it. There is at least one pixel and one channel. Each function throws
// std::runtime_error when the launch fails, or in a build without CUDA.

/// out = a + b + bias: a, b, out [pixels, channels], bias [channels].
template <class T>
void residual_sum(std::int64_t pixels, std::int64_t channels, const T* a, const T* b,
                  const Sum<T>* bias, T* out, void* stream);

/// out [channels] = the sums of x [pixels, channels] over its pixels. `partial` is memory for
/// kMaxChunks * channels numbers.
template <class T>
void sum_channels(std::int64_t pixels, std::int64_t channels, const T* x, Sum<T>* partial,
                  Sum<T>* out, void* stream);

/// a [pixels, first] and b [pixels, second] side by side: whole [pixels, first + second].
template <class T>
void concat_channels(std::int64_t pixels, std::int64_t first, std::int64_t second, const T* a,
                     const T* b, T* whole, void* stream);

/// The reverse: copies the parts of `whole` to a and b.
template <class T>
void split_channels(std::int64_t pixels, std::int64_t first, std::int64_t second, const T* whole,
                    T* a, T* b, void* stream);

// Instantiates the functions for one type, after their definition.
#define CDM_CHANNEL_LAUNCHERS(T)                                                                   \
  template void residual_sum<T>(std::int64_t, std::int64_t, const T*, const T*, const Sum<T>*, T*, \
                                void*);                                                            \
  template void sum_channels<T>(std::int64_t, std::int64_t, const T*, Sum<T>*, Sum<T>*, void*);    \
  template void concat_channels<T>(std::int64_t, std::int64_t, std::int64_t, const T*, const T*,   \
                                   T*, void*);                                                     \
  template void split_channels<T>(std::int64_t, std::int64_t, std::int64_t, const T*, T*, T*,      \
                                  void*);

}  // namespace cdm::cuda
