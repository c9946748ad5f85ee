// SPDX-License-Identifier: MIT
// The arithmetic of group normalisation with or without SiLU, for one element at a time: value,
// gradient, and gradient of the gradient. Shared by the CPU's loops and the CUDA kernels.
//
// Notation, for one group of m = HW * C / groups elements: z = x + shift, where the shift is one
// number per image and channel; rstd = 1 / sqrt(variance(z) + eps), xhat = (z - mean(z)) rstd,
// u = gamma xhat + beta, y = kept silu(u) or u, where `kept` is 1 without dropout, and with it 0 or
// 1 / (1 - rate). The Jacobian of xhat with respect to z is the symmetric matrix
//   P a = rstd (a - mean(a) - xhat mean(a xhat)).
// So with du = kept grad_y f'(u) and a = gamma du, the input gradient is grad_x = P a. Summed over
// the pixels, it is the gradient of the shift.
//
// The second derivative is the gradient of S = sum(v grad_x) = sum(v P a) = sum(a w) with w = P v:
//   with respect to a: w;
//   with respect to gamma, to beta, and to x through u: by the chain rule, with e = gamma w;
//   with respect to x through P: -P(rstd (v mean(a xhat) + a mean(v xhat))) - rstd xhat S / m.
// Cotangents v_gamma and v_beta of grad_gamma and grad_beta add v_gamma xhat + v_beta to e, and
// du v_gamma to the derivative with respect to xhat. A cotangent v_shift of the gradient of the
// shift is added to v.
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
// the type of parameters, statistics and sums. For one image, x, y and all other elements are
// [HW, C] (channels_last), mean and rstd are [groups]; shift and sums over pixels are [C]. Arrays
// of a batch have one such part per image. All images share gamma, beta, v_gamma and v_beta [C],
// and one shift where shift_stride, the distance between the shifts of two images, is 0.

template <class T, class S = T>
struct NormInput {
  const T* x;
  const S* shift;  // null: zero
  std::int64_t shift_stride;
  const S* gamma;
  const S* beta;
  S* mean;  // of z; written by the forward pass, read by the others
  S* rstd;
};

/// Reads grad_y. Writes grad_x, and each image's part of the other gradients.
template <class T, class S = T>
struct NormBackward {
  const T* grad_y;
  T* grad_x;
  S* grad_gamma;
  S* grad_beta;
  S* grad_shift;  // may be null: not wanted
};

/// Reads grad_y and v, v_gamma, v_beta, v_shift. Writes the gradient of sum(v grad_x) +
/// sum(v_gamma grad_gamma) + sum(v_beta grad_beta) + sum(v_shift grad_shift) with respect to
/// grad_y, x, gamma, beta and shift.
template <class T, class S = T>
struct NormDoubleBackward {
  const T* grad_y;
  const T* v;
  const S* v_gamma;  // these three may be null: zero
  const S* v_beta;
  const S* v_shift;  // with the stride of the shift
  T* to_grad_y;
  T* to_x;
  S* to_gamma;
  S* to_beta;
  S* to_shift;  // may be null: not wanted
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

/// 1 / (1 + exp(-u)). On a GPU, `Fast` takes the hardware's approximations, whose error of some
/// units in the last place of a float is far below the rounding to bfloat16.
template <bool Fast, class S>
CDM_INLINE S sigmoid(S u) {
#ifdef __CUDA_ARCH__
  if constexpr (Fast) return __fdividef(1.0F, 1.0F + __expf(-u));
#endif
  return S(1) / (S(1) + exponential(-u));
}

/// What follows the normalisation: value, first derivative (slope) and second derivative
/// (curvature) at u. All take s = gate(u), so that the sigmoid is computed once.
struct Silu {
  template <bool Fast = false, class S>
  static CDM_INLINE S gate(S u) {
    return sigmoid<Fast>(u);
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
  template <bool Fast = false, class S>
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

}  // namespace cdm::ops
