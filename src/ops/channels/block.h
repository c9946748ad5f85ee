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

#ifdef __CUDACC__
// Several loads are under way at the same time.
#define CDM_UNROLL _Pragma("unroll 4")
#else
#define CDM_UNROLL
#endif

/// The part of a batch that a thread has: V channels of every step-th pixel.
struct ThreadPart {
  int channel, first, step;
};

/// The part of this thread; without pixels if the last tile has fewer columns than the others.
template <int V, class Block>
CDM_INLINE ThreadPart part_of(const Block& block, const ChannelLayout& layout) {
  const int tile = block.index() % layout.tiles;
  const int chunk = block.index() / layout.tiles;
  const int column = tile * layout.width + block.thread() % layout.width;
  const int row = chunk * layout.rows + block.thread() / layout.width;
  return {column * V, column < layout.columns ? row : layout.pixels, layout.chunks * layout.rows};
}

template <class T, int V, class Block>
CDM_INLINE void residual_sum_block(const Block& block, const ChannelLayout& layout, const T* a,
                                   const T* b, const Sum<T>* bias, T* out) {
  const ThreadPart part = part_of<V>(block, layout);
  if (part.first >= layout.pixels) return;
  const int C = layout.columns * V;
  Sum<T> biases[V];
  for (int k = 0; k < V; ++k) biases[k] = bias[part.channel + k];
  for (int pixel = part.first; pixel < layout.pixels; pixel += part.step) {
    const std::int64_t i = std::int64_t{pixel} * C + part.channel;
    Sum<T> x[V];
    Sum<T> y[V];
    load_pack(a + i, x);
    load_pack(b + i, y);
    for (int k = 0; k < V; ++k) x[k] = x[k] + y[k] + biases[k];
    store_pack(out + i, x);
  }
}

/// Writes the sums over this block's pixels to out [chunks, C]. The order of additions is fixed, so
/// that results do not depend on timing.
template <class T, int V, class Block>
CDM_INLINE void sum_channels_block(const Block& block, const ChannelLayout& layout, const T* x,
                                   Sum<T>* out) {
  using S = Sum<T>;
  const ThreadPart part = part_of<V>(block, layout);
  const int C = layout.columns * V;
  S sums[V] = {};
  CDM_UNROLL
  for (int pixel = part.first; pixel < layout.pixels; pixel += part.step) {
    S values[V];
    load_pack(x + std::int64_t{pixel} * C + part.channel, values);
    for (int k = 0; k < V; ++k) sums[k] += values[k];
  }
  S* const shared = block.shared();  // [rows, width * V]
  for (int k = 0; k < V; ++k) shared[block.thread() * V + k] = sums[k];
  block.sync();
  const int channels = layout.width * V;
  const int first = (block.index() % layout.tiles) * channels;
  const int chunk = block.index() / layout.tiles;
  for (int c = block.thread(); c < channels && first + c < C; c += layout.threads()) {
    S total = S(0);
    for (int row = 0; row < layout.rows; ++row) total += shared[row * channels + c];
    out[std::int64_t{chunk} * C + first + c] = total;
  }
}

template <class T, int V, class Block>
CDM_INLINE void concat_channels_block(const Block& block, const ChannelLayout& layout,
                                      const Concatenation<T>& arrays) {
  const ThreadPart part = part_of<V>(block, layout);
  for (int pixel = part.first; pixel < layout.pixels; pixel += part.step) {
    copy_pack<T, V>(arrays.in_part(pixel, part.channel), arrays.in_whole(pixel, part.channel));
  }
}

template <class T, int V, class Block>
CDM_INLINE void split_channels_block(const Block& block, const ChannelLayout& layout,
                                     const Concatenation<T>& arrays) {
  const ThreadPart part = part_of<V>(block, layout);
  for (int pixel = part.first; pixel < layout.pixels; pixel += part.step) {
    copy_pack<T, V>(arrays.in_whole(pixel, part.channel), arrays.in_part(pixel, part.channel));
  }
}

}  // namespace cdm::cuda
