// SPDX-License-Identifier: MIT
#pragma once

#include <c10/core/Device.h>

namespace cdm::ops {

/// Compares the three passes of group normalisation on `device` with those of the CPU in float64,
/// on small batches in float32 and bfloat16: with SiLU, shift and dropout and without, with slabs
/// in shared memory that need no leave or need it, and without slabs. Throws c10::Error for a wrong
/// result, and std::runtime_error for a kernel that cannot be launched.
void try_norm_kernels(c10::Device device);

}  // namespace cdm::ops
