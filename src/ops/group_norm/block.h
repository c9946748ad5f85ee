// SPDX-License-Identifier: MIT
// The part of group normalisation that one block of threads computes. `Block` is a block of a GPU
// (kernels.cu), or one imitated by threads of the CPU (tests/model/test_group_norm_block.cpp):
//   index()   number of the block
//   thread()  number of this thread in the block
//   sync()    waits for all threads of the block
//   shared()  memory of the block: kNormSums numbers per thread
#pragma once

#include "ops/group_norm/launch.h"

namespace cdm::cuda {

constexpr int kNormSums = 5;

template <class T, class Block>
class NormBlock {
 public:
  using S = Sum<T>;

  CDM_INLINE NormBlock(const Block& block, const NormLayout& layout, const ops::NormInput<T, S>& in)
      : block_(block),
        channels_(layout.channels),
        rows_(layout.rows),
        width_(static_cast<int>(layout.shape.channels / layout.shape.groups)),
        row_(block.thread() / channels_),
        column_(block.thread() % channels_),
        C_(layout.shape.channels),
        pixels_(layout.shape.pixels) {
    const std::int64_t parts = C_ / channels_;
    image_ = block.index() / parts;
    channel_ = (block.index() % parts) * channels_ + column_;
    group_ = image_ * layout.shape.groups + channel_ / width_;
    gamma_ = load(in.gamma + channel_);
    beta_ = load(in.beta + channel_);
  }

  template <class Activation>
  CDM_INLINE void forward(const ops::NormInput<T, S>& in, double eps, T* y) const {
    S mean[1] = {S(0)};
    each_element([&](std::int64_t i) { mean[0] += load(in.x + i); });
    sum_over_rows(mean);
    mean_over_group(mean);
    S variance[1] = {S(0)};
    each_element([&](std::int64_t i) {
      const S centred = load(in.x + i) - mean[0];
      variance[0] += centred * centred;
    });
    sum_over_rows(variance);
    mean_over_group(variance);
    const S rstd = S(1) / std::sqrt(variance[0] + static_cast<S>(eps));
    if (row_ == 0 && column_ % width_ == 0) {
      in.mean[group_] = mean[0];
      in.rstd[group_] = rstd;
    }
    const ops::NormChannel<S> c = {mean[0], rstd, gamma_, beta_};
    each_element([&](std::int64_t i) {
      const S u = c.u(c.xhat(load(in.x + i)));
      store(y + i, Activation::value(u, Activation::gate(u)));
    });
  }

  template <class Activation>
  CDM_INLINE void backward(const ops::NormInput<T, S>& in,
                           const ops::NormBackward<T, S>& out) const {
    const ops::NormChannel<S> c = {in.mean[group_], in.rstd[group_], gamma_, beta_};
    const auto du_of = [&](std::int64_t i, S xhat) CDM_ALWAYS {
      const S u = c.u(xhat);
      return load(out.grad_y + i) * Activation::slope(u, Activation::gate(u));
    };
    S sums[2] = {S(0), S(0)};
    each_element([&](std::int64_t i) {
      const S xhat = c.xhat(load(in.x + i));
      const S du = du_of(i, xhat);
      sums[0] += du;
      sums[1] += du * xhat;
    });
    sum_over_rows(sums);
    keep(out.grad_beta, sums[0]);
    keep(out.grad_gamma, sums[1]);
    S mean_a[2] = {sums[0] * gamma_, sums[1] * gamma_};
    mean_over_group(mean_a);
    each_element([&](std::int64_t i) {
      const S xhat = c.xhat(load(in.x + i));
      store(out.grad_x + i, ops::norm_grad_x(c, xhat, du_of(i, xhat), mean_a[0], mean_a[1]));
    });
  }

  template <class Activation>
  CDM_INLINE void double_backward(const ops::NormInput<T, S>& in,
                                  const ops::NormDoubleBackward<T, S>& out) const {
    const ops::NormChannel<S> c = {in.mean[group_], in.rstd[group_], gamma_, beta_};
    S sums[kNormSums] = {};
    each_element([&](std::int64_t i) {
      const S xhat = c.xhat(load(in.x + i));
      const S u = c.u(xhat);
      const S du = load(out.grad_y + i) * Activation::slope(u, Activation::gate(u));
      const S v = load(out.v + i);
      sums[0] += du * gamma_;
      sums[1] += du * gamma_ * xhat;
      sums[2] += v;
      sums[3] += v * xhat;
      sums[4] += v * du * gamma_;
    });
    sum_over_rows(sums);
    mean_over_group(sums);
    const ops::NormMeans<S> mean = {sums[0], sums[1], sums[2], sums[3], sums[4]};
    const S v_gamma = load(out.v_gamma + channel_);
    const S v_beta = load(out.v_beta + channel_);
    const auto terms_of = [&](std::int64_t i, S xhat) CDM_ALWAYS {
      return ops::double_backward_terms<Activation>(c, mean, xhat, Activation::gate(c.u(xhat)),
                                                    load(out.grad_y + i), load(out.v + i), v_gamma,
                                                    v_beta);
    };
    S to_parameters[2] = {S(0), S(0)};
    S mean_r[2] = {S(0), S(0)};
    each_element([&](std::int64_t i) {
      const S xhat = c.xhat(load(in.x + i));
      const ops::DoubleBackwardTerms<S> terms = terms_of(i, xhat);
      store(out.to_grad_y + i, terms.to_grad_y);
      to_parameters[0] += terms.to_gamma;
      to_parameters[1] += terms.to_beta;
      mean_r[0] += terms.r;
      mean_r[1] += terms.r * xhat;
    });
    sum_over_rows(to_parameters);
    keep(out.to_gamma, to_parameters[0]);
    keep(out.to_beta, to_parameters[1]);
    sum_over_rows(mean_r);
    mean_over_group(mean_r);
    // Computes the terms again. Storing them would take as much memory traffic.
    each_element([&](std::int64_t i) {
      const S xhat = c.xhat(load(in.x + i));
      store(out.to_x + i, ops::norm_to_x(c, mean, xhat, terms_of(i, xhat).r, mean_r[0], mean_r[1]));
    });
  }

 private:
  /// Calls body(index into the batch's elements) for every pixel of this thread.
  template <class Body>
  CDM_INLINE void each_element(const Body& body) const {
    const std::int64_t first = image_ * pixels_ * C_ + channel_;
    for (std::int64_t p = row_; p < pixels_; p += rows_) body(first + p * C_);
  }

  /// Replaces each thread's sums by the sums of its channel. The order of additions is fixed, so
  /// that results do not depend on timing.
  template <int K>
  CDM_INLINE void sum_over_rows(S (&sums)[K]) const {
    S* const shared = block_.shared();
    for (int k = 0; k < K; ++k) shared[(k * rows_ + row_) * channels_ + column_] = sums[k];
    block_.sync();
    for (int k = 0; k < K; ++k) {
      sums[k] = S(0);
      for (int r = 0; r < rows_; ++r) sums[k] += shared[(k * rows_ + r) * channels_ + column_];
    }
    block_.sync();
  }

  /// Replaces each channel's sums by the means over the elements of its group.
  template <int K>
  CDM_INLINE void mean_over_group(S (&sums)[K]) const {
    S* const shared = block_.shared();
    if (row_ == 0) {
      for (int k = 0; k < K; ++k) shared[k * channels_ + column_] = sums[k];
    }
    block_.sync();
    const int first = column_ / width_ * width_;
    for (int k = 0; k < K; ++k) {
      S total = S(0);
      for (int i = 0; i < width_; ++i) total += shared[k * channels_ + first + i];
      sums[k] = total / static_cast<S>(pixels_ * width_);
    }
    block_.sync();
  }

  /// Stores a sum of this image and channel. One of the threads that have it does so.
  CDM_INLINE void keep(S* sums, S value) const {
    if (row_ == 0) sums[image_ * C_ + channel_] = value;
  }

  const Block& block_;
  int channels_, rows_, width_, row_, column_;
  std::int64_t C_, pixels_;
  std::int64_t image_, channel_, group_;
  S gamma_, beta_;
};

}  // namespace cdm::cuda
