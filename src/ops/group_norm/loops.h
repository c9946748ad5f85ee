// SPDX-License-Identifier: MIT
// Group normalisation on the CPU, alone or followed by SiLU, one image at a time.
#pragma once

#include <cstdint>

#include "ops/group_norm/arithmetic.h"

namespace cdm::ops {

/// Where a pass keeps per-channel numbers: kScratchArrays arrays of C.
constexpr std::int64_t kScratchArrays = 12;

/// y, mean and rstd of one image.
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
