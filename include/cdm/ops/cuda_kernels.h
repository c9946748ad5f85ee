// SPDX-License-Identifier: MIT
// This project's own CUDA kernels (own_cuda_kernels in the configuration): random numbers drawn on
// the device, and group normalisation with SiLU. Without them, random numbers are drawn on the host
// and copied (dropout masks are drawn on the device by ATen), and ATen normalises.
#pragma once

#include <c10/core/Device.h>

namespace cdm {

/// Turns the kernels on or off for this process. Before they are turned on, one launch of each kind
/// is compared with its known result on `device`. Where a kernel cannot run (a build without CUDA)
/// or its result is wrong, a warning says so and the kernels stay off. They are never on for a CPU.
void use_own_cuda_kernels(bool on, at::Device device);

}  // namespace cdm
