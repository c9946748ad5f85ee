// SPDX-License-Identifier: MIT
#include "ops/group_norm/loops.h"

#include <algorithm>
#include <cmath>

// Compiles a function for several generations of x86; the right one is chosen when the program
// starts. That choice runs before a sanitizer is ready, so builds with it have one version only.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define CDM_VECTOR_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CDM_VECTOR_CLONES
#endif
// A loop over channels. `ivdep` tells the compiler that the arrays in it do not overlap. There are
// too many arrays for a check at run time, and otherwise the loop would not be vectorised.
#if defined(__GNUC__) && !defined(__clang__)
#define CDM_EACH_CHANNEL _Pragma("GCC ivdep") for (std::int64_t c = 0; c < C; ++c)
#else
#define CDM_EACH_CHANNEL for (std::int64_t c = 0; c < C; ++c)
#endif

namespace cdm::ops {
namespace {

/// Scratch arrays by number, each [C].
template <class T>
struct Scratch {
  T* base;
  std::int64_t channels;
  CDM_INLINE T* operator[](std::int64_t i) const { return base + i * channels; }
};

/// Copies the number of each group to all channels of the group.
template <class T>
CDM_INLINE void spread(NormShape s, const T* per_group, T* per_channel) {
  const std::int64_t width = s.channels / s.groups;
  for (std::int64_t c = 0; c < s.channels; ++c) per_channel[c] = per_group[c / width];
}

/// Replaces the sum of each channel by the mean over all elements of its group. If `weight` is not
/// null, the sum of channel c is multiplied by weight[c] first.
template <class T>
CDM_INLINE void to_group_means(NormShape s, const T* weight, T* sums) {
  const std::int64_t width = s.channels / s.groups;
  const double count = static_cast<double>(s.pixels * width);
  for (std::int64_t first = 0; first < s.channels; first += width) {
    double total = 0.0;
    for (std::int64_t c = first; c < first + width; ++c) {
      total +=
          static_cast<double>(sums[c]) * (weight == nullptr ? 1.0 : static_cast<double>(weight[c]));
    }
    std::fill_n(sums + first, width, static_cast<T>(total / count));
  }
}

template <class Activation, class T>
CDM_INLINE void forward(NormShape s, const NormInput<T>& in, double eps, T* scratch, T* y) {
  const Scratch<T> buffer = {scratch, s.channels};
  T* const mean = buffer[0];
  T* const scale = buffer[1];
  T* const shift = buffer[2];
  const T* const x = in.x;
  const std::int64_t C = s.channels;
  const std::int64_t width = C / s.groups;

  std::fill_n(mean, C, T(0));
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const row = x + p * C;
    CDM_EACH_CHANNEL mean[c] += row[c];
  }
  to_group_means<T>(s, nullptr, mean);
  T* const variance = scale;
  std::fill_n(variance, C, T(0));
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const row = x + p * C;
    CDM_EACH_CHANNEL {
      const T centred = row[c] - mean[c];
      variance[c] += centred * centred;
    }
  }
  to_group_means<T>(s, nullptr, variance);
  for (std::int64_t g = 0; g < s.groups; ++g) {
    in.mean[g] = mean[g * width];
    in.rstd[g] = static_cast<T>(1.0 / std::sqrt(static_cast<double>(variance[g * width]) + eps));
  }
  CDM_EACH_CHANNEL {
    scale[c] = in.rstd[c / width] * in.gamma[c];
    shift[c] = in.beta[c] - mean[c] * scale[c];
  }
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const row = x + p * C;
    T* const out = y + p * C;
    CDM_EACH_CHANNEL {
      const T u = row[c] * scale[c] + shift[c];
      out[c] = Activation::value(u, Activation::gate(u));
    }
  }
}

template <class Activation, class T>
CDM_INLINE void backward(NormShape s, const NormInput<T>& in, T* scratch,
                         const NormBackward<T>& out) {
  const Scratch<T> buffer = {scratch, s.channels};
  T* const mean = buffer[0];
  T* const rstd = buffer[1];
  T* const mean_a = buffer[2];
  T* const mean_a_xhat = buffer[3];
  const std::int64_t C = s.channels;
  spread(s, in.mean, mean);
  spread(s, in.rstd, rstd);

  const auto channel = [&](std::int64_t c) CDM_ALWAYS {
    return NormChannel<T>{mean[c], rstd[c], in.gamma[c], in.beta[c]};
  };

  std::fill_n(out.grad_beta, C, T(0));
  std::fill_n(out.grad_gamma, C, T(0));
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const x = in.x + p * C;
    const T* const grad_y = out.grad_y + p * C;
    T* const keep_du = out.grad_x + p * C;
    CDM_EACH_CHANNEL {
      const T xhat = channel(c).xhat(x[c]);
      const T u = channel(c).u(xhat);
      const T du = grad_y[c] * Activation::slope(u, Activation::gate(u));
      keep_du[c] = du;
      out.grad_beta[c] += du;
      out.grad_gamma[c] += du * xhat;
    }
  }
  std::copy_n(out.grad_beta, C, mean_a);
  std::copy_n(out.grad_gamma, C, mean_a_xhat);
  to_group_means(s, in.gamma, mean_a);
  to_group_means(s, in.gamma, mean_a_xhat);
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const x = in.x + p * C;
    T* const grad_x = out.grad_x + p * C;
    CDM_EACH_CHANNEL {
      grad_x[c] =
          norm_grad_x(channel(c), channel(c).xhat(x[c]), grad_x[c], mean_a[c], mean_a_xhat[c]);
    }
  }
}

template <class Activation, class T>
CDM_INLINE void double_backward(NormShape s, const NormInput<T>& in, T* scratch,
                                const NormDoubleBackward<T>& out) {
  const Scratch<T> buffer = {scratch, s.channels};
  T* const mean = buffer[0];
  T* const rstd = buffer[1];
  T* const mean_a = buffer[2];
  T* const mean_a_xhat = buffer[3];
  T* const mean_v = buffer[4];
  T* const mean_v_xhat = buffer[5];
  T* const mean_v_a = buffer[6];
  T* const mean_r = buffer[7];
  T* const mean_r_xhat = buffer[8];
  const std::int64_t C = s.channels;
  spread(s, in.mean, mean);
  spread(s, in.rstd, rstd);
  const auto channel = [&](std::int64_t c) CDM_ALWAYS {
    return NormChannel<T>{mean[c], rstd[c], in.gamma[c], in.beta[c]};
  };
  const auto means = [&](std::int64_t c) CDM_ALWAYS {
    return NormMeans<T>{mean_a[c], mean_a_xhat[c], mean_v[c], mean_v_xhat[c], mean_v_a[c]};
  };

  std::fill_n(mean_a, 5 * C, T(0));
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const x = in.x + p * C;
    const T* const grad_y = out.grad_y + p * C;
    const T* const v = out.v + p * C;
    T* const keep_gate = out.to_grad_y + p * C;
    CDM_EACH_CHANNEL {
      const T xhat = channel(c).xhat(x[c]);
      const T u = channel(c).u(xhat);
      const T gate = Activation::gate(u);
      const T du = grad_y[c] * Activation::slope(u, gate);
      keep_gate[c] = gate;
      mean_a[c] += du;
      mean_a_xhat[c] += du * xhat;
      mean_v[c] += v[c];
      mean_v_xhat[c] += v[c] * xhat;
      mean_v_a[c] += v[c] * du;
    }
  }
  to_group_means(s, in.gamma, mean_a);
  to_group_means(s, in.gamma, mean_a_xhat);
  to_group_means<T>(s, nullptr, mean_v);
  to_group_means<T>(s, nullptr, mean_v_xhat);
  to_group_means(s, in.gamma, mean_v_a);

  std::fill_n(out.to_gamma, C, T(0));
  std::fill_n(out.to_beta, C, T(0));
  std::fill_n(mean_r, 2 * C, T(0));
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const x = in.x + p * C;
    const T* const grad_y = out.grad_y + p * C;
    const T* const v = out.v + p * C;
    T* const to_grad_y = out.to_grad_y + p * C;
    T* const keep_r = out.to_x + p * C;
    CDM_EACH_CHANNEL {
      const T xhat = channel(c).xhat(x[c]);
      const DoubleBackwardTerms<T> terms = double_backward_terms<Activation>(
          channel(c), means(c), xhat, to_grad_y[c], grad_y[c], v[c], out.v_gamma[c], out.v_beta[c]);
      to_grad_y[c] = terms.to_grad_y;
      out.to_gamma[c] += terms.to_gamma;
      out.to_beta[c] += terms.to_beta;
      keep_r[c] = terms.r;
      mean_r[c] += terms.r;
      mean_r_xhat[c] += terms.r * xhat;
    }
  }
  to_group_means<T>(s, nullptr, mean_r);
  to_group_means<T>(s, nullptr, mean_r_xhat);
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const x = in.x + p * C;
    T* const to_x = out.to_x + p * C;
    CDM_EACH_CHANNEL {
      to_x[c] = norm_to_x(channel(c), means(c), channel(c).xhat(x[c]), to_x[c], mean_r[c],
                          mean_r_xhat[c]);
    }
  }
}

}  // namespace

// One function for both activations, so that there is one set of clones, not two.
#define CDM_NORM_ENTRIES(T, CLONES)                                                         \
  CLONES void norm_forward(NormShape shape, const NormInput<T>& in, double eps, T* scratch, \
                           T* y) {                                                          \
    if (shape.silu) return forward<Silu>(shape, in, eps, scratch, y);                       \
    forward<Identity>(shape, in, eps, scratch, y);                                          \
  }                                                                                         \
  CLONES void norm_backward(NormShape shape, const NormInput<T>& in, T* scratch,            \
                            const NormBackward<T>& out) {                                   \
    if (shape.silu) return backward<Silu>(shape, in, scratch, out);                         \
    backward<Identity>(shape, in, scratch, out);                                            \
  }                                                                                         \
  CLONES void norm_double_backward(NormShape shape, const NormInput<T>& in, T* scratch,     \
                                   const NormDoubleBackward<T>& out) {                      \
    if (shape.silu) return double_backward<Silu>(shape, in, scratch, out);                  \
    double_backward<Identity>(shape, in, scratch, out);                                     \
  }
CDM_NORM_ENTRIES(float, CDM_VECTOR_CLONES)
CDM_NORM_ENTRIES(double, )

}  // namespace cdm::ops
