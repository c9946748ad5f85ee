// SPDX-License-Identifier: MIT
// The arithmetic of group normalisation with or without SiLU, for one element at a time: value,
// gradient, and gradient of the gradient. Shared by the CPU's loops and the CUDA kernels.
//
// Notation, for one group of m = HW * C / groups elements: rstd = 1 / sqrt(variance + eps),
// xhat = (x - mean) rstd, u = gamma xhat + beta, y = silu(u) or u. The Jacobian of xhat with
// respect to x is the symmetric matrix
//   P z = rstd (z - mean(z) - xhat mean(z xhat)).
// So with du = grad_y dy/du and a = gamma du, the input gradient is grad_x = P a.
//
// The second derivative is the gradient of S = sum(v grad_x) = sum(v P a) = sum(a w) with w = P v:
//   with respect to a: w;
//   with respect to gamma, to beta, and to x through u: by the chain rule, with e = gamma w;
//   with respect to x through P: -P(rstd (v mean(a xhat) + a mean(v xhat))) - rstd xhat S / m.
// Cotangents v_gamma and v_beta of grad_gamma and grad_beta add v_gamma xhat + v_beta to e, and
// du v_gamma to the derivative with respect to xhat.
#pragma once

#include <cmath>
#include <cstdint>

#include "device/host_device.h"

namespace cdm::ops {

struct NormShape {
  std::int64_t pixels, channels, groups;
  bool silu;
};

// The structs below point to the arrays of one image or of a batch. T is the type of elements, S
// the type of statistics and sums. For one image, x, y and all other elements are [HW, C]
// (channels_last), mean and rstd are [groups], gamma, beta and sums over pixels are [C]. Arrays of
// a batch have one such part per image, except gamma, beta, v_gamma and v_beta, which all images
// share.

template <class T, class S = T>
struct NormInput {
  const T* x;
  const T* gamma;
  const T* beta;
  S* mean;  // written by the forward pass, read by the others
  S* rstd;
};

/// Reads grad_y. Writes grad_x, and each image's part of grad_gamma and grad_beta.
template <class T, class S = T>
struct NormBackward {
  const T* grad_y;
  T* grad_x;
  S* grad_gamma;
  S* grad_beta;
};

/// Reads grad_y and v, v_gamma, v_beta. Writes to_grad_y, to_x, to_gamma and to_beta, the gradient
/// of sum(v grad_x) + sum(v_gamma grad_gamma) + sum(v_beta grad_beta) with respect to grad_y, x,
/// gamma and beta.
template <class T, class S = T>
struct NormDoubleBackward {
  const T* grad_y;
  const T* v;        // [HW, C]
  const T* v_gamma;  // [C]
  const T* v_beta;   // [C]
  T* to_grad_y;
  T* to_x;
  S* to_gamma;
  S* to_beta;
};

CDM_INLINE double exponential(double x) { return std::exp(x); }

#ifdef __CUDACC__
CDM_INLINE float exponential(float x) { return ::expf(x); }
#else
/// exp(x) with an error of at most 2 units in the last place. There are no branches or calls, so
/// that the compiler vectorises loops around it. x = k ln 2 + r; exp(r) is a polynomial of
/// degree 6.
CDM_INLINE float exponential(float x) {
  constexpr float kShift = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504F + kShift;
  const float k = shifted - kShift;
  const float r = (x - k * 0.693359375F) + k * 2.12194440e-4F;
  float p = 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const auto power = (__builtin_bit_cast(std::uint32_t, shifted) + 127U) << 23;
  return p * __builtin_bit_cast(float, power);
}
#endif

template <class S>
CDM_INLINE S sigmoid(S u) {
  return S(1) / (S(1) + exponential(-u));
}

/// What follows the normalisation: value, first derivative (slope) and second derivative
/// (curvature) at u. All take s = gate(u), so that the sigmoid is computed once.
struct Silu {
  template <class S>
  static CDM_INLINE S gate(S u) {
    return sigmoid(u);
  }
  template <class S>
  static CDM_INLINE S value(S u, S s) {
    return u * s;
  }
  template <class S>
  static CDM_INLINE S slope(S u, S s) {
    return s * (S(1) + u * (S(1) - s));
  }
  template <class S>
  static CDM_INLINE S curvature(S u, S s) {
    return s * (S(1) - s) * (S(2) + u * (S(1) - S(2) * s));
  }
};

struct Identity {
  template <class S>
  static CDM_INLINE S gate(S /*u*/) {
    return S(1);
  }
  template <class S>
  static CDM_INLINE S value(S u, S /*s*/) {
    return u;
  }
  template <class S>
  static CDM_INLINE S slope(S /*u*/, S /*s*/) {
    return S(1);
  }
  template <class S>
  static CDM_INLINE S curvature(S /*u*/, S /*s*/) {
    return S(0);
  }
};

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

}  // namespace cdm::ops
