// SPDX-License-Identifier: MIT
// Group normalisation with or without SiLU on the CPU, for one image at a time. Formulas and arrays
// are described in arithmetic.h.
#pragma once

#include <cstdint>

#include "ops/group_norm/arithmetic.h"

namespace cdm::ops {

/// `scratch` is memory for kScratchArrays arrays of C numbers, whatever their contents.
constexpr std::int64_t kScratchArrays = 12;

/// Writes y, in.mean and in.rstd.
void norm_forward(NormShape shape, const NormInput<float>& in, double eps, float* scratch,
                  float* y);
void norm_forward(NormShape shape, const NormInput<double>& in, double eps, double* scratch,
                  double* y);

void norm_backward(NormShape shape, const NormInput<float>& in, float* scratch,
                   const NormBackward<float>& out);
void norm_backward(NormShape shape, const NormInput<double>& in, double* scratch,
                   const NormBackward<double>& out);

void norm_double_backward(NormShape shape, const NormInput<float>& in, float* scratch,
                          const NormDoubleBackward<float>& out);
void norm_double_backward(NormShape shape, const NormInput<double>& in, double* scratch,
                          const NormDoubleBackward<double>& out);

}  // namespace cdm::ops
