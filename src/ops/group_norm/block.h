// SPDX-License-Identifier: MIT
// What a block of threads does in each of the three passes of group normalisation: the parts that
// the passes (block_passes.h) are made of. Formulas are in arithmetic.h, the division of the work
// is in layout.h. `Block` is a block of a GPU (kernel.h), or one imitated by threads of the CPU
// (tests/model/test_group_norm_block.cpp):
//   index(), thread()              number of the block, and of this thread in the block
//   shared()                       layout.shared bytes of memory, aligned to 16
//   copy(to, from)                 begins to copy 16 bytes to shared memory
//   sync()                         waits for the other threads of the block
//   sync_copies()                  waits for the copies of all threads of the block
//   add_from_lane(values, offset)  adds to each value that of the thread whose number in the warp
//                                  differs in the bit `offset`
//
// Each pass sweeps over the slab once for sums and once for results; the forward pass twice for
// sums. The order of all additions is fixed, so that results do not depend on timing. With
// t = z - mean, xhat = rstd t: the sweeps work on t, and the sums are scaled afterwards. Constants
// of a channel, such as the shift and the cotangents that all pixels share, are added to the sums
// afterwards, too.
#pragma once

#include <type_traits>

#include "device/philox_numbers.h"
#include "ops/group_norm/launch.h"
#include "ops/group_norm/vectors.h"

namespace cdm::cuda {

template <NormPass Pass, class Activation, class T, bool Staged, class Block>
class NormBlock {
 public:
  using S = Sum<T>;
  using Input = ops::NormInput<T, S>;
  static constexpr int K = Staged ? norm_vector(Pass) : 1;  // channels per thread
  static constexpr int N = norm_sums(Pass);
  static constexpr int kMaskBits = 8;     // of a byte of the stored dropout mask
  static constexpr int kDroppedBits = 8;  // of a random word, for a multiple of 2^-24

  CDM_INLINE NormBlock(const Block& block, const NormLayout& layout, const Input& in,
                       const NormDropout& dropout)
      : block_(block), in_(in), dropout_(dropout), threads_(layout.threads) {
    channels_ = layout.channels;
    groups_ = layout.groups();
    width_ = channels_ / groups_;
    pixels_ = static_cast<int>(layout.shape.pixels);
    stride_ = static_cast<int>(layout.shape.channels);
    lanes_ = layout.lanes;
    arrays_ = layout.arrays();
    row_ = block.thread() / lanes_;
    column_ = block.thread() % lanes_ * K;
    const std::int64_t parts = stride_ / channels_;
    image_ = block.index() / parts;
    first_channel_ = static_cast<int>(block.index() % parts) * channels_;
    first_ = image_ * pixels_ * stride_ + first_channel_;
    count_ = static_cast<S>(pixels_) * static_cast<S>(width_);
    auto* const memory = static_cast<char*>(block.shared());
    constexpr int kTensors = Staged ? norm_tensors(Pass) : 0;
    slabs_ = reinterpret_cast<T*>(memory);
    partial_ = reinterpret_cast<S*>(memory + static_cast<std::int64_t>(kTensors) * pixels_ *
                                                 channels_ * static_cast<int>(sizeof(T)));
    totals_ = partial_ + (N < kNormRound ? N : kNormRound) * arrays_ * padded();
    group_ = totals_ + N * padded();
    if (dropout.rows != nullptr) {
      row_of_stream_ = {
          static_cast<std::uint64_t>(dropout.rows[0]),
          (dropout.layer << 32) | static_cast<std::uint64_t>(dropout.rows[1] + image_)};
      keep_ = static_cast<S>(dropout.scale);
    }
  }

  // The three passes; block_passes.h defines them.
  CDM_INLINE void forward(double eps, T* y);
  CDM_INLINE void backward(const ops::NormBackward<T, S>& out);
  CDM_INLINE void double_backward(const ops::NormDoubleBackward<T, S>& out);

 private:
  // Numbers of the sums of the second derivative.
  enum { kDu, kDuT, kV, kVT, kVDu, kQ, kQT, kQTT, kQV, kQVT, kT };

  struct Statistics {
    S mean, rstd;
  };
  struct Cotangent {
    S v, t, one;  // e = v * v + t * t + one * 1, for v without its part v_shift
  };

  // ---- The slab ----

  /// Begins to copy the slab of a tensor to shared memory.
  CDM_INLINE void fetch(int slab, const T* tensor) const {
    if constexpr (Staged) {
      constexpr int kChunk = kVectorBytes / static_cast<int>(sizeof(T));
      const int chunks = channels_ / kChunk;  // of a pixel
      const int rows = threads_ / chunks;
      const int row = block_.thread() / chunks;
      if (row >= rows) return;
      const int at = block_.thread() % chunks * kChunk;
      for (int p = row; p < pixels_; p += rows) {
        block_.copy(slabs_ + (slab * pixels_ + p) * channels_ + at,
                    tensor + first_ + p * stride_ + at);
      }
    }
  }

  /// This thread's channels of pixel p, of the tensor whose slab has that number.
  CDM_INLINE void read(int slab, const T* tensor, int p, S (&out)[K]) const {
    if constexpr (Staged) {
      load_vector(slabs_ + (slab * pixels_ + p) * channels_ + column_, out);
    } else {
      load_vector(tensor + first_ + p * stride_ + column_, out);
    }
  }
  CDM_INLINE void write(T* tensor, int p, const S (&values)[K]) const {
    store_vector(tensor + first_ + p * stride_ + column_, values);
  }

  template <class Body>
  CDM_INLINE void each_pixel(const Body& body) const {
    if (column_ >= channels_) return;  // a lane without channels
    const int rows = threads_ / lanes_;
    for (int p = row_; p < pixels_; p += rows) body(p);
  }

  template <class Body>
  CDM_INLINE void each_channel(const Body& body) const {
    CDM_UNROLL_ALL
    for (int k = 0; k < K; ++k) body(k);
  }

  /// body(k, c) for the k-th channel of this thread, which is number c of the block.
  template <class Body>
  CDM_INLINE void each_own_channel(const Body& body) const {
    CDM_UNROLL_ALL
    for (int k = 0; k < K; ++k) {
      if (column_ + k < channels_) body(k, column_ + k);
    }
  }

  // ---- The elements ----

  CDM_INLINE S gate(S u) const { return Activation::template gate<std::is_same_v<T, Bfloat16>>(u); }

  /// Reads t, and du and q = kept grad_y f''(u). `slope` is kept f'(u).
  CDM_INLINE void read_curvature(const T* grad_y, int p, S (&t)[K], S (&du)[K], S (&q)[K],
                                 S (&slope)[K]) const {
    read(0, in_.x, p, t);
    read(1, grad_y, p, q);
    const unsigned mask = look_up(p);
    each_channel([&](int k) {
      t[k] -= centre_[k];
      const S u = t[k] * scale_[k] + beta_[k];
      const S s = gate(u);
      slope[k] = kept(mask, k) * Activation::slope(u, s);
      du[k] = q[k] * slope[k];
      q[k] *= kept(mask, k) * Activation::curvature(u, s);
    });
  }
  CDM_INLINE void read_gradient(const T* grad_y, int p, S (&t)[K], S (&du)[K]) const {
    S q[K];
    S slope[K];
    read_curvature(grad_y, p, t, du, q, slope);  // what is not used is not computed
  }

  // The dropout mask of a thread's channels of a pixel is a word: bit k says whether channel k is
  // kept. All of them are, without dropout.

  CDM_INLINE S kept(unsigned mask, int k) const { return (mask >> k & 1U) != 0 ? keep_ : S(0); }

  /// The bit of an element that has this word of the random stream.
  CDM_INLINE unsigned bit(std::uint32_t word) const {
    return word >> kDroppedBits >= dropout_.threshold ? 1U : 0U;
  }

  CDM_INLINE unsigned draw_one(int p) const {
    const auto number = static_cast<unsigned>(p * stride_ + first_channel_ + column_);
    std::uint32_t words[kNumbersPerBlock];
    philox_words(row_of_stream_, number / kNumbersPerBlock, words);
    std::uint32_t own = words[0];
    CDM_UNROLL_ALL
    for (int i = 1; i < kNumbersPerBlock; ++i) {
      if (number % kNumbersPerBlock == static_cast<unsigned>(i)) own = words[i];
    }
    return bit(own);
  }

  /// The byte of the stored mask with the bits of channels column_ / 8 * 8 and those after it.
  CDM_INLINE std::uint8_t* mask_byte(int p) const {
    const int bytes = channels_ / kMaskBits;
    return dropout_.bits + block_.index() * pixels_ * bytes + p * bytes + column_ / kMaskBits;
  }

  /// Draws the mask, for the forward pass.
  CDM_INLINE unsigned draw(int p) const {
    if (dropout_.rows == nullptr) return ~0U;
    if constexpr (Staged) {
      static_assert(K == kMaskBits);
      const auto number = static_cast<unsigned>(p * stride_ + first_channel_ + column_);
      unsigned mask = 0;
      CDM_UNROLL_ALL
      for (unsigned first = 0; first < K; first += kNumbersPerBlock) {
        std::uint32_t words[kNumbersPerBlock];
        philox_words(row_of_stream_, (number + first) / kNumbersPerBlock, words);
        CDM_UNROLL_ALL
        for (unsigned i = 0; i < kNumbersPerBlock; ++i) mask |= bit(words[i]) << (first + i);
      }
      *mask_byte(p) = static_cast<std::uint8_t>(mask);
      return mask;
    } else {
      return draw_one(p);
    }
  }

  /// The mask that draw() gave, for the derivatives.
  CDM_INLINE unsigned look_up(int p) const {
    if (dropout_.rows == nullptr) return ~0U;
    if constexpr (Staged) {
      return static_cast<unsigned>(*mask_byte(p)) >> (column_ % kMaskBits);
    } else {
      return draw_one(p);
    }
  }

  // ---- Sums, and what is computed from them ----

  /// Channels of a row of threads, with those that are only lanes without channels.
  CDM_INLINE int padded() const { return lanes_ * K; }
  CDM_INLINE S sum(int n, int c) const { return totals_[n * padded() + c]; }
  CDM_INLINE S mean(int n, int g) const { return group_[n * groups_ + g]; }

  /// Adds up the sums of all threads: afterwards sum(n, c) is that of channel c.
  template <int Count>
  CDM_INLINE void total(S (&sums)[Count][K]) const {
    for (int offset = lanes_; offset < kWarp; offset *= 2) {
      block_.add_from_lane(*reinterpret_cast<S(*)[Count * K]>(&sums), offset);
    }
    const bool writes = lanes_ >= kWarp || block_.thread() % kWarp < lanes_;
    const int array = lanes_ >= kWarp ? row_ : block_.thread() / kWarp;
    CDM_UNROLL_ALL
    for (int first = 0; first < Count; first += kNormRound) {
      const int count = Count - first < kNormRound ? Count - first : kNormRound;
      if (writes) {
        CDM_UNROLL_ALL
        for (int n = 0; n < count; ++n) {
          each_channel([&](int k) {
            partial_[(n * arrays_ + array) * padded() + column_ + k] = sums[first + n][k];
          });
        }
      }
      block_.sync();
      for (int i = block_.thread(); i < count * padded(); i += threads_) {
        const int n = i / padded();
        S all = S(0);
        for (int a = 0; a < arrays_; ++a) {
          all += partial_[(n * arrays_ + a) * padded() + i % padded()];
        }
        totals_[first * padded() + i] = all;
      }
      block_.sync();
    }
  }

  /// body(n, g) for each n < count and each group g of the block, divided among the threads.
  template <class Body>
  CDM_INLINE void each_number(int count, const Body& body) const {
    for (int i = block_.thread(); i < count * groups_; i += threads_)
      body(i / groups_, i % groups_);
    block_.sync();
  }

  template <class Term>
  CDM_INLINE S sum_of_group(int g, const Term& term) const {
    S all = S(0);
    for (int c = g * width_; c < (g + 1) * width_; ++c) all += term(c);
    return all;
  }

  /// Position of group g of the block among the statistics of the batch.
  CDM_INLINE std::int64_t statistics(int g) const {
    return image_ * (stride_ / width_) + first_channel_ / width_ + g;
  }
  CDM_INLINE Statistics saved(int g) const {
    return {in_.mean[statistics(g)], in_.rstd[statistics(g)]};
  }
  CDM_INLINE S gamma(int c) const { return in_.gamma[first_channel_ + c]; }
  CDM_INLINE S shift(int c) const { return of_image(in_.shift, c); }
  CDM_INLINE S of_image(const S* shifts, int c) const {
    return shifts == nullptr ? S(0) : shifts[image_ * in_.shift_stride + first_channel_ + c];
  }

  /// Sets the constants of this thread's channels: t = x - centre, u = scale t + beta.
  template <class Statistic>
  CDM_INLINE void load_constants(const Statistic& statistic) {
    each_own_channel([&](int k, int c) {
      const Statistics of_group = statistic(c / width_);
      centre_[k] = of_group.mean - shift(c);
      scale_[k] = of_group.rstd * gamma(c);
      beta_[k] = in_.beta[first_channel_ + c];
    });
  }

  /// Adds v_shift to the v in the sums.
  CDM_INLINE void add_shift_of_v(const ops::NormDoubleBackward<T, S>& out) const {
    if (out.v_shift == nullptr) return;
    for (int c = block_.thread(); c < channels_; c += threads_) {
      const S v_shift = of_image(out.v_shift, c);
      S* const of_channel = totals_ + c;
      of_channel[kV * padded()] += static_cast<S>(pixels_) * v_shift;
      of_channel[kVT * padded()] += v_shift * sum(kT, c);
      of_channel[kVDu * padded()] += v_shift * sum(kDu, c);
      of_channel[kQV * padded()] += v_shift * sum(kQ, c);
      of_channel[kQVT * padded()] += v_shift * sum(kQT, c);
    }
    block_.sync();
  }

  CDM_INLINE Cotangent cotangent(const ops::NormDoubleBackward<T, S>& out, int c) const {
    const int g = c / width_;
    const S r = saved(g).rstd;
    const S v_gamma = out.v_gamma == nullptr ? S(0) : out.v_gamma[first_channel_ + c];
    const S v_beta = out.v_beta == nullptr ? S(0) : out.v_beta[first_channel_ + c];
    const S of_v = r * gamma(c);
    return {of_v, r * v_gamma - of_v * r * r * mean(kVT, g), v_beta - of_v * mean(kV, g)};
  }

  const Block& block_;
  const Input& in_;
  const NormDropout& dropout_;
  int threads_, channels_, groups_, width_, pixels_, stride_, lanes_, arrays_;
  int row_, column_;  // the first pixel of this thread, and the first of its channels
  int first_channel_;
  std::int64_t image_, first_;  // first_: the block's first element among those of the batch
  S count_;                     // elements of a group
  T* slabs_;
  S* partial_;
  S* totals_;
  S* group_;
  PhiloxRow row_of_stream_ = {};
  S keep_ = S(1);
  S centre_[K] = {};
  S scale_[K] = {};
  S beta_[K] = {};
};

}  // namespace cdm::cuda
