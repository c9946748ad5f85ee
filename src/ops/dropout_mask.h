// SPDX-License-Identifier: MIT
// Dropout masks as tensors, for operations that apply them in one pass with something else.
#pragma once

#include <ATen/core/Tensor.h>

#include "cdm/ops/ops.h"

namespace cdm::ops {

/// What each element of x [B, C, H, W] is multiplied by, 0 or 1 / (1 - rate): [B, H, W, C], in the
/// type of x, which must not be bfloat16: it would round the factor.
at::Tensor dropout_factors(const at::Tensor& x, const Dropout& dropout);

}  // namespace cdm::ops
