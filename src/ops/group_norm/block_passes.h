// SPDX-License-Identifier: MIT
// The three passes of group normalisation in a block of threads: value, derivative, and second
// derivative. Each sweeps over the slab for its sums, and once more for its results.
#pragma once

#include "ops/group_norm/block.h"

namespace cdm::cuda {

template <NormPass Pass, class Activation, class T, bool Staged, class Block>
CDM_INLINE void NormBlock<Pass, Activation, T, Staged, Block>::forward(double eps, T* y) {
  fetch(0, in_.x);
  block_.sync_copies();
  S sums[1][K] = {};
  each_pixel([&](int p) {
    S x[K];
    read(0, in_.x, p, x);
    each_channel([&](int k) { sums[0][k] += x[k]; });
  });
  total(sums);
  each_number(1, [&](int /*n*/, int g) {
    group_[g] =
        sum_of_group(g, [&](int c) { return totals_[c] + static_cast<S>(pixels_) * shift(c); }) /
        count_;
  });
  load_constants([&](int g) { return Statistics{group_[g], S(1)}; });
  each_channel([&](int k) { sums[0][k] = S(0); });
  each_pixel([&](int p) {
    S x[K];
    read(0, in_.x, p, x);
    each_channel([&](int k) {
      const S t = x[k] - centre_[k];
      sums[0][k] += t * t;
    });
  });
  total(sums);
  each_number(1, [&](int /*n*/, int g) {
    const S variance = sum_of_group(g, [&](int c) { return totals_[c]; }) / count_;
    const S rstd = S(1) / std::sqrt(variance + static_cast<S>(eps));
    group_[groups_ + g] = rstd;
    in_.mean[statistics(g)] = group_[g];
    in_.rstd[statistics(g)] = rstd;
  });
  load_constants([&](int g) { return Statistics{group_[g], group_[groups_ + g]}; });
  each_pixel([&](int p) {
    S x[K];
    read(0, in_.x, p, x);
    const unsigned mask = draw(p);
    each_channel([&](int k) {
      const S u = (x[k] - centre_[k]) * scale_[k] + beta_[k];
      x[k] = kept(mask, k) * Activation::value(u, gate(u));
    });
    write(y, p, x);
  });
}

template <NormPass Pass, class Activation, class T, bool Staged, class Block>
CDM_INLINE void NormBlock<Pass, Activation, T, Staged, Block>::backward(
    const ops::NormBackward<T, S>& out) {
  fetch(0, in_.x);
  fetch(1, out.grad_y);
  block_.sync_copies();
  load_constants([&](int g) { return saved(g); });
  S sums[3][K] = {};  // of du, du t, t
  each_pixel([&](int p) {
    S t[K];
    S du[K];
    read_gradient(out.grad_y, p, t, du);
    each_channel([&](int k) {
      sums[0][k] += du[k];
      sums[1][k] += du[k] * t[k];
      sums[2][k] += t[k];
    });
  });
  total(sums);
  each_number(2, [&](int n, int g) {  // means of a and a t
    group_[n * groups_ + g] = sum_of_group(g, [&](int c) { return gamma(c) * sum(n, c); }) / count_;
  });
  const auto per_t = [&](int g) {
    const S r = saved(g).rstd;
    return -r * r * r * group_[groups_ + g];
  };
  const auto constant = [&](int g) { return -saved(g).rstd * group_[g]; };
  for (int c = block_.thread(); c < channels_; c += threads_) {
    const int g = c / width_;
    const S r = saved(g).rstd;
    const std::int64_t at = image_ * stride_ + first_channel_ + c;
    if (out.grad_gamma != nullptr) {
      out.grad_gamma[at] = r * sum(1, c);
      out.grad_beta[at] = sum(0, c);
    }
    if (out.grad_shift != nullptr) {
      out.grad_shift[at] =
          r * gamma(c) * sum(0, c) + per_t(g) * sum(2, c) + static_cast<S>(pixels_) * constant(g);
    }
  }
  S slope[K] = {};
  S offset[K] = {};
  each_own_channel([&](int k, int c) {
    slope[k] = per_t(c / width_);
    offset[k] = constant(c / width_);
  });
  each_pixel([&](int p) {
    S t[K];
    S du[K];
    read_gradient(out.grad_y, p, t, du);
    each_channel([&](int k) { du[k] = scale_[k] * du[k] + slope[k] * t[k] + offset[k]; });
    write(out.grad_x, p, du);
  });
}

/// w, e and to_x of arithmetic.h are linear in v, t and products of them, with these constants:
///   e = rstd gamma v + e_t t + e_1
///   to_x = rstd gamma q e + e_t du + x_v v + x_t t + x_1, with q = kept grad_y f''(u)
template <NormPass Pass, class Activation, class T, bool Staged, class Block>
CDM_INLINE void NormBlock<Pass, Activation, T, Staged, Block>::double_backward(
    const ops::NormDoubleBackward<T, S>& out) {
  fetch(0, in_.x);
  fetch(1, out.grad_y);
  fetch(2, out.v);
  block_.sync_copies();
  load_constants([&](int g) { return saved(g); });
  S sums[N][K] = {};
  each_pixel([&](int p) {
    S t[K];
    S du[K];
    S q[K];
    S v[K];
    S slope[K];
    read_curvature(out.grad_y, p, t, du, q, slope);
    read(2, out.v, p, v);
    each_channel([&](int k) {
      const S qt = q[k] * t[k];
      sums[kDu][k] += du[k];
      sums[kDuT][k] += du[k] * t[k];
      sums[kV][k] += v[k];
      sums[kVT][k] += v[k] * t[k];
      sums[kVDu][k] += v[k] * du[k];
      sums[kQ][k] += q[k];
      sums[kQT][k] += qt;
      sums[kQTT][k] += qt * t[k];
      sums[kQV][k] += q[k] * v[k];
      sums[kQVT][k] += qt * v[k];
      sums[kT][k] += t[k];
    });
  });
  total(sums);
  add_shift_of_v(out);

  each_number(5, [&](int n, int g) {  // means of a, a t, v, v t, v a
    group_[n * groups_ + g] =
        sum_of_group(
            g, [&](int c) { return n == kV || n == kVT ? sum(n, c) : gamma(c) * sum(n, c); }) /
        count_;
  });
  // The sums of q and of q t are replaced by those of rr and rr t, where rr is the derivative of
  // S with respect to xhat but for the term S / m.
  for (int c = block_.thread(); c < channels_; c += threads_) {
    const int g = c / width_;
    const S r = saved(g).rstd;
    const Cotangent e = cotangent(out, c);
    const S to_beta = e.v * sum(kQV, c) + e.t * sum(kQT, c) + e.one * sum(kQ, c);
    const S to_u_t = e.v * sum(kQVT, c) + e.t * sum(kQTT, c) + e.one * sum(kQT, c);
    const std::int64_t at = image_ * stride_ + first_channel_ + c;
    out.to_beta[at] = to_beta;
    out.to_gamma[at] = r * (sum(kVDu, c) - mean(kV, g) * sum(kDu, c) -
                            r * r * mean(kVT, g) * sum(kDuT, c) + to_u_t);
    const S of_v = -r * r * mean(kDuT, g);
    totals_[kQ * padded() + c] = gamma(c) * to_beta + e.t / r * sum(kDu, c) + of_v * sum(kV, c);
    totals_[kQT * padded() + c] = gamma(c) * to_u_t + e.t / r * sum(kDuT, c) + of_v * sum(kVT, c);
  }
  block_.sync();
  each_number(2, [&](int n, int g) {  // the constants x_1 and x_t
    const S r = saved(g).rstd;
    const S mean_r = sum_of_group(g, [&](int c) { return sum(kQ + n, c); }) / count_;
    const S S_over_m =
        r * (mean(kVDu, g) - mean(kV, g) * mean(kDu, g) - r * r * mean(kVT, g) * mean(kDuT, g));
    group_[(5 + n) * groups_ + g] = n == 0 ? -r * mean_r : -r * r * (r * mean_r + S_over_m);
  });
  for (int c = block_.thread(); out.to_shift != nullptr && c < channels_; c += threads_) {
    const int g = c / width_;
    out.to_shift[image_ * stride_ + first_channel_ + c] =
        saved(g).rstd * sum(kQ, c) + mean(6, g) * sum(kT, c) + static_cast<S>(pixels_) * mean(5, g);
  }
  S e_t[K] = {};
  S e_1[K] = {};
  S x_v[K] = {};
  S x_t[K] = {};
  S x_1[K] = {};
  each_own_channel([&](int k, int c) {
    const int g = c / width_;
    const S r = saved(g).rstd;
    const S v_shift = of_image(out.v_shift, c);
    const Cotangent e = cotangent(out, c);
    e_t[k] = e.t;
    e_1[k] = e.one + e.v * v_shift;
    x_v[k] = -r * r * r * mean(kDuT, g);
    x_t[k] = mean(6, g);
    x_1[k] = mean(5, g) + x_v[k] * v_shift;
  });
  each_pixel([&](int p) {
    S t[K];
    S du[K];
    S q[K];
    S v[K];
    S to_grad_y[K];
    read_curvature(out.grad_y, p, t, du, q, to_grad_y);
    read(2, out.v, p, v);
    each_channel([&](int k) {
      const S e = scale_[k] * v[k] + e_t[k] * t[k] + e_1[k];
      to_grad_y[k] *= e;
      v[k] = scale_[k] * q[k] * e + e_t[k] * du[k] + x_v[k] * v[k] + x_t[k] * t[k] + x_1[k];
    });
    write(out.to_grad_y, p, to_grad_y);
    write(out.to_x, p, v);
  });
}

}  // namespace cdm::cuda
