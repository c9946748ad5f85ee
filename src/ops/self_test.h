// SPDX-License-Identifier: MIT
#pragma once

#include <c10/core/Device.h>

namespace cdm::ops {

/// Compares attention, the residual sum, concatenation and the sums over pixels by own kernels with
/// ATen's operations, on small batches in float32 and bfloat16: value, gradient, and gradient of
/// the gradient. Leaves the kernels off. Throws c10::Error for a wrong result, and
/// std::runtime_error for a kernel that cannot be launched.
void try_layer_kernels(c10::Device device);

}  // namespace cdm::ops
