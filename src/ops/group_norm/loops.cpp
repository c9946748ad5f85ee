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

/// The numbers that all elements of a channel share.
template <class S>
struct NormChannel {
  S mean, rstd, gamma, beta;

  CDM_INLINE S xhat(S x) const { return (x - mean) * rstd; }
  CDM_INLINE S u(S xhat) const { return xhat * gamma + beta; }
};

/// An element of P a, where a = gamma du.
template <class S>
CDM_INLINE S norm_grad_x(const NormChannel<S>& c, S xhat, S du, S mean_a, S mean_a_xhat) {
  return c.rstd * (du * c.gamma - mean_a - xhat * mean_a_xhat);
}

/// Means over a group that the second derivative needs.
template <class S>
struct NormMeans {
  S a, a_xhat, v, v_xhat, v_a;
};

/// What one element adds to the second derivative. `r` is the derivative with respect to xhat
/// without the term S / m, which norm_to_x() adds.
template <class S>
struct DoubleBackwardTerms {
  S to_grad_y, to_gamma, to_beta, r;
};

template <class Activation, class S>
CDM_INLINE DoubleBackwardTerms<S> double_backward_terms(const NormChannel<S>& c,
                                                        const NormMeans<S>& mean, S xhat, S gate,
                                                        S grad_y, S v, S v_gamma, S v_beta) {
  const S u = c.u(xhat);
  const S slope = Activation::slope(u, gate);
  const S du = grad_y * slope;
  const S w = c.rstd * (v - mean.v - xhat * mean.v_xhat);
  const S e = w * c.gamma + v_gamma * xhat + v_beta;
  const S to_u = grad_y * Activation::curvature(u, gate) * e;
  const S r =
      to_u * c.gamma + du * v_gamma - c.rstd * (v * mean.a_xhat + du * c.gamma * mean.v_xhat);
  return {slope * e, w * du + to_u * xhat, to_u, r};
}

template <class S>
CDM_INLINE S norm_to_x(const NormChannel<S>& c, const NormMeans<S>& mean, S xhat, S r, S mean_r,
                       S mean_r_xhat) {
  const S S_over_m = c.rstd * (mean.v_a - mean.v * mean.a - mean.v_xhat * mean.a_xhat);
  return c.rstd * (r - mean_r - xhat * (mean_r_xhat + S_over_m));
}

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

/// What the loops need besides the formulas' arguments: a shift and dropout, or neither. Without
/// them, the loops are those of a plain normalisation.
template <bool Extras, class T>
class Extra {
 public:
  /// Uses two arrays of scratch memory.
  CDM_INLINE Extra(NormShape s, const T* shift, const T* kept, T* two_arrays)
      : shift_(two_arrays), kept_(kept) {
    if constexpr (!Extras) return;
    if (shift == nullptr) {
      std::fill_n(two_arrays, s.channels, T(0));
    } else {
      std::copy_n(shift, s.channels, two_arrays);
    }
    if (kept == nullptr) {
      kept_ = std::fill_n(two_arrays + s.channels, s.channels, T(1)) - s.channels;
    } else {
      stride_ = s.channels;
    }
  }

  CDM_INLINE T shift(std::int64_t c) const { return Extras ? shift_[c] : T(0); }
  /// The factor of dropout for each channel of pixel p.
  CDM_INLINE const T* kept(std::int64_t p) const { return kept_ + p * stride_; }
  static CDM_INLINE T times(T value, const T* kept, std::int64_t c) {
    return Extras ? value * kept[c] : value;
  }

 private:
  const T* shift_;
  const T* kept_;
  std::int64_t stride_ = 0;
};

template <class Activation, bool Extras, class T>
CDM_INLINE void forward(NormShape s, const NormInput<T>& in, const T* kept, double eps, T* scratch,
                        T* y) {
  const Scratch<T> buffer = {scratch, s.channels};
  T* const mean = buffer[0];
  T* const scale = buffer[1];
  T* const offset = buffer[2];
  const Extra<Extras, T> extra(s, in.shift, kept, buffer[3]);
  const T* const x = in.x;
  const std::int64_t C = s.channels;
  const std::int64_t width = C / s.groups;

  std::fill_n(mean, C, T(0));
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const row = x + p * C;
    CDM_EACH_CHANNEL mean[c] += row[c];
  }
  if (Extras) {
    CDM_EACH_CHANNEL mean[c] += static_cast<T>(s.pixels) * extra.shift(c);
  }
  to_group_means<T>(s, nullptr, mean);
  for (std::int64_t g = 0; g < s.groups; ++g) in.mean[g] = mean[g * width];
  if (Extras) {  // z - mean = x - (mean - shift)
    CDM_EACH_CHANNEL mean[c] -= extra.shift(c);
  }
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
    in.rstd[g] = static_cast<T>(1.0 / std::sqrt(static_cast<double>(variance[g * width]) + eps));
  }
  CDM_EACH_CHANNEL {
    scale[c] = in.rstd[c / width] * in.gamma[c];
    offset[c] = in.beta[c] - mean[c] * scale[c];
  }
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const row = x + p * C;
    const T* const factor = extra.kept(p);
    T* const out = y + p * C;
    CDM_EACH_CHANNEL {
      const T u = row[c] * scale[c] + offset[c];
      out[c] = extra.times(Activation::value(u, Activation::gate(u)), factor, c);
    }
  }
}

template <class Activation, bool Extras, class T>
CDM_INLINE void backward(NormShape s, const NormInput<T>& in, const T* kept, T* scratch,
                         const NormBackward<T>& out) {
  const Scratch<T> buffer = {scratch, s.channels};
  T* const mean = buffer[0];
  T* const rstd = buffer[1];
  T* const mean_a = buffer[2];
  T* const mean_a_xhat = buffer[3];
  const Extra<Extras, T> extra(s, in.shift, kept, buffer[4]);
  const std::int64_t C = s.channels;
  spread(s, in.mean, mean);
  if (Extras) {
    CDM_EACH_CHANNEL mean[c] -= extra.shift(c);
  }
  spread(s, in.rstd, rstd);

  const auto channel = [&](std::int64_t c) CDM_ALWAYS {
    return NormChannel<T>{mean[c], rstd[c], in.gamma[c], in.beta[c]};
  };

  std::fill_n(out.grad_beta, C, T(0));
  std::fill_n(out.grad_gamma, C, T(0));
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const x = in.x + p * C;
    const T* const grad_y = out.grad_y + p * C;
    const T* const factor = extra.kept(p);
    T* const keep_du = out.grad_x + p * C;
    CDM_EACH_CHANNEL {
      const T xhat = channel(c).xhat(x[c]);
      const T u = channel(c).u(xhat);
      const T gy = extra.times(grad_y[c], factor, c);
      const T du = gy * Activation::slope(u, Activation::gate(u));
      keep_du[c] = du;
      out.grad_beta[c] += du;
      out.grad_gamma[c] += du * xhat;
    }
  }
  std::copy_n(out.grad_beta, C, mean_a);
  std::copy_n(out.grad_gamma, C, mean_a_xhat);
  to_group_means(s, in.gamma, mean_a);
  to_group_means(s, in.gamma, mean_a_xhat);
  T* const to_shift = out.grad_shift == nullptr ? buffer[6] : out.grad_shift;
  if (Extras) std::fill_n(to_shift, C, T(0));
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const x = in.x + p * C;
    T* const grad_x = out.grad_x + p * C;
    CDM_EACH_CHANNEL {
      const T to_x =
          norm_grad_x(channel(c), channel(c).xhat(x[c]), grad_x[c], mean_a[c], mean_a_xhat[c]);
      grad_x[c] = to_x;
      if (Extras) to_shift[c] += to_x;
    }
  }
}

/// `array`, or zeros in `scratch` where it is null.
template <class T>
CDM_INLINE const T* or_zero(const T* array, std::int64_t C, T* scratch) {
  if (array == nullptr) std::fill_n(scratch, C, T(0));
  return array == nullptr ? scratch : array;
}

template <class Activation, bool Extras, class T>
CDM_INLINE void double_backward(NormShape s, const NormInput<T>& in, const T* kept, T* scratch,
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
  const Extra<Extras, T> extra(s, in.shift, kept, buffer[9]);
  const std::int64_t C = s.channels;
  const T* const v_gamma = or_zero(out.v_gamma, C, buffer[11]);
  const T* const v_beta = or_zero(out.v_beta, C, buffer[12]);
  const T* const v_shift = or_zero(out.v_shift, C, buffer[13]);
  spread(s, in.mean, mean);
  if (Extras) {
    CDM_EACH_CHANNEL mean[c] -= extra.shift(c);
  }
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
    const T* const v_x = out.v + p * C;
    const T* const factor = extra.kept(p);
    T* const keep_gate = out.to_grad_y + p * C;
    CDM_EACH_CHANNEL {
      const T xhat = channel(c).xhat(x[c]);
      const T u = channel(c).u(xhat);
      const T gate = Activation::gate(u);
      const T du = extra.times(grad_y[c], factor, c) * Activation::slope(u, gate);
      const T v = Extras ? v_x[c] + v_shift[c] : v_x[c];
      keep_gate[c] = gate;
      mean_a[c] += du;
      mean_a_xhat[c] += du * xhat;
      mean_v[c] += v;
      mean_v_xhat[c] += v * xhat;
      mean_v_a[c] += v * du;
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
    const T* const v_x = out.v + p * C;
    const T* const factor = extra.kept(p);
    T* const to_grad_y = out.to_grad_y + p * C;
    T* const keep_r = out.to_x + p * C;
    CDM_EACH_CHANNEL {
      const T xhat = channel(c).xhat(x[c]);
      const T v = Extras ? v_x[c] + v_shift[c] : v_x[c];
      const DoubleBackwardTerms<T> terms = double_backward_terms<Activation>(
          channel(c), means(c), xhat, to_grad_y[c], extra.times(grad_y[c], factor, c), v,
          v_gamma[c], v_beta[c]);
      to_grad_y[c] = extra.times(terms.to_grad_y, factor, c);
      out.to_gamma[c] += terms.to_gamma;
      out.to_beta[c] += terms.to_beta;
      keep_r[c] = terms.r;
      mean_r[c] += terms.r;
      mean_r_xhat[c] += terms.r * xhat;
    }
  }
  to_group_means<T>(s, nullptr, mean_r);
  to_group_means<T>(s, nullptr, mean_r_xhat);
  T* const to_shift = out.to_shift == nullptr ? buffer[14] : out.to_shift;
  if (Extras) std::fill_n(to_shift, C, T(0));
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const T* const x = in.x + p * C;
    T* const to_x = out.to_x + p * C;
    CDM_EACH_CHANNEL {
      const T sum = norm_to_x(channel(c), means(c), channel(c).xhat(x[c]), to_x[c], mean_r[c],
                              mean_r_xhat[c]);
      to_x[c] = sum;
      if (Extras) to_shift[c] += sum;
    }
  }
}

}  // namespace

// One function for all versions, so that there is one set of clones.
#define CDM_NORM_CHOOSE(pass, ...)                     \
  if (!shape.silu) {                                   \
    pass<Identity, false>(__VA_ARGS__);                \
  } else if (in.shift == nullptr && kept == nullptr) { \
    pass<Silu, false>(__VA_ARGS__);                    \
  } else {                                             \
    pass<Silu, true>(__VA_ARGS__);                     \
  }
#define CDM_NORM_ENTRIES(T, CLONES)                                                        \
  CLONES void norm_forward(                                                                \
      NormShape shape, const NormInput<T>& in, const T* kept, double eps, T* scratch,      \
      T* y){CDM_NORM_CHOOSE(forward, shape, in, kept, eps, scratch, y)} CLONES void        \
  norm_backward(NormShape shape, const NormInput<T>& in, const T* kept, T* scratch,        \
                const NormBackward<T>& out){                                               \
      CDM_NORM_CHOOSE(backward, shape, in, kept, scratch, out)} CLONES void                \
  norm_double_backward(NormShape shape, const NormInput<T>& in, const T* kept, T* scratch, \
                       const NormDoubleBackward<T>& out) {                                 \
    CDM_NORM_CHOOSE(double_backward, shape, in, kept, scratch, out)                        \
  }
CDM_NORM_ENTRIES(float, CDM_VECTOR_CLONES)
CDM_NORM_ENTRIES(double, )

}  // namespace cdm::ops
