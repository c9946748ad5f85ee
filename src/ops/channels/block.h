// SPDX-License-Identifier: MIT
// What one block of the kernels in kernels.cu computes. A batch of images is a matrix [pixels, C]
// here (channels_last). `Block` is a block of a GPU, or one that threads of the CPU imitate
// (tests/model/test_channel_blocks.cpp):
//   index()   number of the block
//   thread()  number of this thread in the block
//   sync()    waits for all threads of the block
//   shared()  memory of the block: V numbers per thread
// V is the number of channels that a thread reads at once.
#pragma once

#include "ops/channels/launch.h"
#include "ops/pack.h"

namespace cdm::cuda {

/// Calls body(pixel, first channel) for each vector of this thread.
template <int V, class Block, class Body>
CDM_INLINE void each_vector(const Block& block, const ChannelLayout& layout, const Body& body) {
  const int tile = block.index() % layout.tiles();
  const int chunk = block.index() / layout.tiles();
  const std::int64_t column = tile * layout.width + block.thread() % layout.width;
  if (column >= layout.columns) return;
  const std::int64_t first = chunk * layout.rows + block.thread() / layout.width;
  const std::int64_t step = layout.chunks * layout.rows;
  for (std::int64_t pixel = first; pixel < layout.pixels; pixel += step) body(pixel, column * V);
}

template <class T, int V, class Block>
CDM_INLINE void residual_sum_block(const Block& block, const ChannelLayout& layout, const T* a,
                                   const T* b, const Sum<T>* bias, T* out) {
  each_vector<V>(block, layout, [&](std::int64_t pixel, std::int64_t channel) CDM_ALWAYS {
    const std::int64_t i = pixel * layout.columns * V + channel;
    Sum<T> x[V];
    Sum<T> y[V];
    load_pack(a + i, x);
    load_pack(b + i, y);
    for (int k = 0; k < V; ++k) x[k] = x[k] + y[k] + bias[channel + k];
    store_pack(out + i, x);
  });
}

/// Writes the sums over this block's pixels to out [chunks, C]. The order of additions is fixed, so
/// that results do not depend on timing.
template <class T, int V, class Block>
CDM_INLINE void sum_channels_block(const Block& block, const ChannelLayout& layout, const T* x,
                                   Sum<T>* out) {
  using S = Sum<T>;
  const std::int64_t C = layout.columns * V;
  S sums[V] = {};
  each_vector<V>(block, layout, [&](std::int64_t pixel, std::int64_t channel) CDM_ALWAYS {
    S values[V];
    load_pack(x + pixel * C + channel, values);
    for (int k = 0; k < V; ++k) sums[k] += values[k];
  });
  S* const shared = block.shared();  // [rows, width * V]
  for (int k = 0; k < V; ++k) shared[block.thread() * V + k] = sums[k];
  block.sync();
  const int channels = layout.width * V;
  const std::int64_t first = (block.index() % layout.tiles()) * channels;
  const int chunk = block.index() / layout.tiles();
  for (int c = block.thread(); c < channels && first + c < C; c += layout.threads()) {
    S total = S(0);
    for (int row = 0; row < layout.rows; ++row) total += shared[row * channels + c];
    out[chunk * C + first + c] = total;
  }
}

/// Each number belongs to one of two parts, of `first` and `second` channels. V divides both.
template <class T, int V, class Block>
CDM_INLINE void concat_channels_block(const Block& block, const ChannelLayout& layout,
                                      std::int64_t first, std::int64_t second, const T* a,
                                      const T* b, T* whole) {
  each_vector<V>(block, layout, [&](std::int64_t pixel, std::int64_t channel) CDM_ALWAYS {
    const T* const part =
        channel < first ? a + pixel * first + channel : b + pixel * second + (channel - first);
    copy_pack<T, V>(part, whole + pixel * (first + second) + channel);
  });
}

template <class T, int V, class Block>
CDM_INLINE void split_channels_block(const Block& block, const ChannelLayout& layout,
                                     std::int64_t first, std::int64_t second, const T* whole, T* a,
                                     T* b) {
  each_vector<V>(block, layout, [&](std::int64_t pixel, std::int64_t channel) CDM_ALWAYS {
    T* const part =
        channel < first ? a + pixel * first + channel : b + pixel * second + (channel - first);
    copy_pack<T, V>(whole + pixel * (first + second) + channel, part);
  });
}

}  // namespace cdm::cuda
