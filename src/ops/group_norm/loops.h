// SPDX-License-Identifier: MIT
// Group normalisation with or without SiLU on the CPU, for one image at a time. Formulas and arrays
// are described in arithmetic.h.
#pragma once

#include <cstdint>

#include "ops/group_norm/arithmetic.h"

namespace cdm::ops {

/// `scratch` is memory for kScratchArrays arrays of C numbers, whatever their contents. `kept`
/// [HW, C] holds 0 or 1 / (1 - rate) for each element; null without dropout. Shift and dropout
/// are only for shapes with SiLU. The optional outputs must be there if there is a shift.
constexpr std::int64_t kScratchArrays = 16;

/// Writes y, in.mean and in.rstd.
void norm_forward(NormShape shape, const NormInput<float>& in, const float* kept, double eps,
                  float* scratch, float* y);
void norm_forward(NormShape shape, const NormInput<double>& in, const double* kept, double eps,
                  double* scratch, double* y);

void norm_backward(NormShape shape, const NormInput<float>& in, const float* kept, float* scratch,
                   const NormBackward<float>& out);
void norm_backward(NormShape shape, const NormInput<double>& in, const double* kept,
                   double* scratch, const NormBackward<double>& out);

void norm_double_backward(NormShape shape, const NormInput<float>& in, const float* kept,
                          float* scratch, const NormDoubleBackward<float>& out);
void norm_double_backward(NormShape shape, const NormInput<double>& in, const double* kept,
                          double* scratch, const NormDoubleBackward<double>& out);

}  // namespace cdm::ops
