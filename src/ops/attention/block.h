// SPDX-License-Identifier: MIT
// What one block of the kernels in kernels.cu computes; formulas are in launch.h. `Block` is a
// block of a GPU, or one that threads of the CPU imitate (tests/model/test_attention_blocks.cpp):
//   index()                 number of the block
//   thread()                number of this thread in the block
//   sync()                  waits for all threads of the block
//   shared()                memory of the block: a number per warp
//   shuffle_xor(x, mask)    x of the thread in this warp whose number differs in the bits of `mask`
#pragma once

#include "ops/attention/launch.h"
#include "ops/group_norm/arithmetic.h"

namespace cdm::cuda {

CDM_INLINE double reciprocal(double x) { return 1.0 / x; }
#ifdef __CUDACC__
// An error of at most 2 units in the last place, and none of the instructions for numbers that a
// sum of a softmax never is.
CDM_INLINE float reciprocal(float x) { return __fdividef(1.0F, x); }
#else
CDM_INLINE float reciprocal(float x) { return 1.0F / x; }
#endif

/// The part of a row that a thread holds. With kPacked the numbers of a thread are neighbours, and
/// are read and written at once; a row then begins at a multiple of 16 bytes. Otherwise
/// neighbouring threads have neighbouring numbers.
template <class T, bool kPacked, class Block>
class RowBlock {
 public:
  using S = Sum<T>;
  static constexpr int V = kPackWidth<T>;
  static constexpr int kWarp = 32;

  CDM_INLINE RowBlock(const Block& block, const RowLayout& layout)
      : block_(block),
        lanes_(layout.lanes),
        lane_(block.thread() % layout.lanes),
        columns_(layout.columns) {
    const std::int64_t row = static_cast<std::int64_t>(block.index()) * layout.rows_per_block() +
                             block.thread() / layout.lanes;
    first_ = row * columns_;
    // Threads without a row go through all steps, because they belong to warps that have rows.
    if (row >= layout.rows) columns_ = 0;
  }

  CDM_INLINE void softmax(S scale, T* s) const {
    S x[V];
    read(s, x);
    S largest = x[0];
    for (int k = 1; k < V; ++k) largest = has(k) && x[k] > largest ? x[k] : largest;
    // A thread without numbers may not have the largest one: its zero does not count.
    if (!has(0)) largest = lowest();
    largest = over_row(largest, [](S a, S b) CDM_ALWAYS { return a > b ? a : b; });
    S total = S(0);
    for (int k = 0; k < V; ++k) {
      x[k] = has(k) ? ops::exponential(scale * (x[k] - largest)) : S(0);
      total += x[k];
    }
    const S factor = reciprocal(sum(total));
    for (int k = 0; k < V; ++k) x[k] *= factor;
    write(x, s);
  }

  CDM_INLINE void gradient(S scale, const T* p, const T* grad_p, T* grad_s) const {
    S P[V];
    S dP[V];
    read(p, P);
    read(grad_p, dP);
    const S mean = dot(P, dP);
    for (int k = 0; k < V; ++k) dP[k] = scale * P[k] * (dP[k] - mean);
    write(dP, grad_s);
  }

  CDM_INLINE void second(S scale, const SoftmaxSecond<T>& arrays) const {
    S P[V];
    S D[V];
    S W[V];
    S G[V];
    read(arrays.p, P);
    read(arrays.a, D);
    read(arrays.grad_s, W);
    read(arrays.g, G);
    const S mean = dot(P, D);
    S total = S(0);
    for (int k = 0; k < V; ++k) {
      D[k] = scale * (D[k] - mean);
      W[k] = D[k] * W[k] + scale * P[k] * G[k];
      total += W[k];
      D[k] *= P[k];
    }
    // Without numbers, P, dS and G are zero, and so is W.
    total = sum(total);
    for (int k = 0; k < V; ++k) W[k] -= P[k] * total;
    write(D, arrays.to_grad_p);
    write(W, arrays.to_s);
  }

 private:
  CDM_INLINE int column(int k) const { return kPacked ? lane_ * V + k : k * lanes_ + lane_; }
  CDM_INLINE bool has(int k) const { return column(k) < columns_; }

  /// Zero where the row has no number.
  CDM_INLINE void read(const T* matrix, S (&to)[V]) const {
    if constexpr (kPacked) {
      for (int k = 0; k < V; ++k) to[k] = S(0);
      if (has(0)) load_pack(matrix + first_ + column(0), to);
    } else {
      for (int k = 0; k < V; ++k) to[k] = has(k) ? load(matrix + first_ + column(k)) : S(0);
    }
  }

  CDM_INLINE void write(const S (&from)[V], T* matrix) const {
    if constexpr (kPacked) {
      if (has(0)) store_pack(matrix + first_ + column(0), from);
    } else {
      for (int k = 0; k < V; ++k) {
        if (has(k)) store(matrix + first_ + column(k), from[k]);
      }
    }
  }

  static CDM_INLINE S lowest() { return sizeof(S) == sizeof(float) ? S(-3.4e38F) : S(-1.7e308); }

  /// Combines the values of the threads that share a row, in a fixed order, for all of them.
  template <class Combine>
  CDM_INLINE S over_row(S value, const Combine& combine) const {
    const int in_warp = lanes_ < kWarp ? lanes_ : kWarp;
    for (int mask = in_warp / 2; mask > 0; mask /= 2) {
      value = combine(value, block_.shuffle_xor(value, mask));
    }
    if (lanes_ <= kWarp) return value;
    S* const shared = block_.shared();
    if (lane_ % kWarp == 0) shared[block_.thread() / kWarp] = value;
    block_.sync();
    const int first_warp = block_.thread() / lanes_ * (lanes_ / kWarp);
    value = shared[first_warp];
    for (int warp = 1; warp < lanes_ / kWarp; ++warp) {
      value = combine(value, shared[first_warp + warp]);
    }
    block_.sync();
    return value;
  }

  CDM_INLINE S sum(S value) const {
    return over_row(value, [](S a, S b) CDM_ALWAYS { return a + b; });
  }

  CDM_INLINE S dot(const S (&a)[V], const S (&b)[V]) const {
    S total = S(0);
    for (int k = 0; k < V; ++k) total += a[k] * b[k];
    return sum(total);
  }

  const Block& block_;
  int lanes_, lane_, columns_;
  std::int64_t first_;
};

}  // namespace cdm::cuda
