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
  int pixels, columns;
  int width, rows;
  int tiles, chunks;

  CDM_HOST_DEVICE int blocks() const { return tiles * chunks; }
  CDM_HOST_DEVICE int threads() const { return width * rows; }
};

/// `vector` is the number of channels in a column, and divides `channels`. A thread has about
/// `pixels_per_thread` pixels; more when there would be more than `most_chunks` chunks.
inline ChannelLayout channel_layout(std::int64_t pixels, std::int64_t channels, int vector,
                                    int pixels_per_thread = 2, int most_chunks = 1 << 16,
                                    int threads = 256) {
  // Neighbouring threads read whole cache lines of 128 bytes when 8 columns are 16 bytes each.
  const int width = vector > 1 ? 8 : 32;
  const int rows = threads / width;
  const int columns = static_cast<int>(channels / vector);
  const std::int64_t per_chunk = std::int64_t{rows} * pixels_per_thread;
  const std::int64_t chunks = (pixels + per_chunk - 1) / per_chunk;
  return {static_cast<int>(pixels),
          columns,
          width,
          rows,
          (columns + width - 1) / width,
          static_cast<int>(std::min<std::int64_t>(chunks, most_chunks))};
}

/// The most chunks that pixels are summed in. The sums of the chunks are then summed.
constexpr int kMostSums = 512;

/// The layout for sums over pixels. It does not depend on the GPU, so that sums do not either.
inline ChannelLayout sum_layout(std::int64_t pixels, std::int64_t channels, int vector,
                                int threads = 256) {
  return channel_layout(pixels, channels, vector, 4, kMostSums, threads);
}

// T is float, double or Bfloat16. Arrays are memory of the current device, and `stream` is a
// cudaStream_t of it. There are one channel and one pixel or more, and fewer than 2^30 pixels. Each
// function throws std::runtime_error when the launch fails, or in a build without CUDA.

/// out = a + b + bias: a, b, out [pixels, channels], bias [channels].
template <class T>
void residual_sum(std::int64_t pixels, std::int64_t channels, const T* a, const T* b,
                  const Sum<T>* bias, T* out, void* stream);

/// out [channels] = the sums of x [pixels, channels] over its pixels. `partial` is memory for
/// kMostSums * channels numbers.
template <class T>
void sum_channels(std::int64_t pixels, std::int64_t channels, const T* x, Sum<T>* partial,
                  Sum<T>* out, void* stream);

/// a [pixels, first] and b [pixels, second] side by side: whole [pixels, first + second].
template <class T>
struct Concatenation {
  std::int64_t first, second;
  T *a, *b, *whole;

  CDM_HOST_DEVICE T* in_whole(std::int64_t pixel, int channel) const {
    return whole + pixel * (first + second) + channel;
  }
  CDM_HOST_DEVICE T* in_part(std::int64_t pixel, int channel) const {
    return channel < first ? a + pixel * first + channel : b + pixel * second + (channel - first);
  }
};

/// Copies a and b to `whole`.
template <class T>
void concat_channels(std::int64_t pixels, const Concatenation<T>& arrays, void* stream);

/// Copies the parts of `whole` to a and b.
template <class T>
void split_channels(std::int64_t pixels, const Concatenation<T>& arrays, void* stream);

// Instantiates the functions for one type, after their definition.
#define CDM_CHANNEL_LAUNCHERS(T)                                                                   \
  template void residual_sum<T>(std::int64_t, std::int64_t, const T*, const T*, const Sum<T>*, T*, \
                                void*);                                                            \
  template void sum_channels<T>(std::int64_t, std::int64_t, const T*, Sum<T>*, Sum<T>*, void*);    \
  template void concat_channels<T>(std::int64_t, const Concatenation<T>&, void*);                  \
  template void split_channels<T>(std::int64_t, const Concatenation<T>&, void*);

}  // namespace cdm::cuda
