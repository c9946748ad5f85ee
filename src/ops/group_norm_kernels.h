// SPDX-License-Identifier: MIT
// The arithmetic of group normalisation, alone or followed by SiLU, one image at a time: value,
// gradient, and gradient of the gradient.
//
// Notation, for one group of m = HW * C / groups elements: xhat = (x - mean) rstd,
// u = gamma xhat + beta, y = silu(u) or u. Normalisation has the self-adjoint Jacobian
//   P z = rstd (z - mean(z) - xhat mean(z xhat)),
// so with du = grad_y dy/du and a = gamma du the input gradient is grad_x = P a.
//
// Arrays x, y, ... are one image [HW, C] with channels side by side; mean and rstd are [groups];
// gamma, beta and sums are [C].
#pragma once

#include <cstdint>

namespace cdm::ops {

struct NormShape {
  std::int64_t pixels, channels, groups;
  bool silu;
};

template <class T>
struct NormInput {
  const T* x;
  const T* gamma;
  const T* beta;
  T* mean;  // written by the forward pass, read by the others
  T* rstd;
};

/// Where a pass keeps per-channel numbers: kScratchArrays arrays of C.
constexpr std::int64_t kScratchArrays = 12;

/// y, mean and rstd of one image.
void norm_forward(NormShape shape, const NormInput<float>& in, double eps, float* scratch,
                  float* y);
void norm_forward(NormShape shape, const NormInput<double>& in, double eps, double* scratch,
                  double* y);

/// grad_x of one image; its share of grad_gamma and grad_beta.
template <class T>
struct NormGradient {
  const T* grad_y;
  T* grad_x;
  T* grad_gamma;
  T* grad_beta;
};
void norm_backward(NormShape shape, const NormInput<float>& in, float* scratch,
                   const NormGradient<float>& out);
void norm_backward(NormShape shape, const NormInput<double>& in, double* scratch,
                   const NormGradient<double>& out);

/// The gradient of sum(v grad_x) + sum(v_gamma grad_gamma) + sum(v_beta grad_beta) with respect to
/// grad_y, x, gamma and beta.
template <class T>
struct NormSecondGradient {
  const T* grad_y;
  const T* v;        // [HW, C]
  const T* v_gamma;  // [C]
  const T* v_beta;   // [C]
  T* to_grad_y;
  T* to_x;
  T* to_gamma;
  T* to_beta;
};
void norm_double_backward(NormShape shape, const NormInput<float>& in, float* scratch,
                          const NormSecondGradient<float>& out);
void norm_double_backward(NormShape shape, const NormInput<double>& in, double* scratch,
                          const NormSecondGradient<double>& out);

}  // namespace cdm::ops
