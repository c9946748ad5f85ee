// SPDX-License-Identifier: MIT
// This project's own CUDA kernels (own_cuda_kernels in the configuration): random numbers drawn on
// the device, and group normalisation with SiLU. Without them numbers are drawn on the host and
// copied (those of dropout by ATen on the device), and ATen normalises. They have not run on a GPU
// yet.
#pragma once

#include <c10/core/Device.h>

namespace cdm {

/// Turns the kernels on for this process, or off. On, two of them are tried on `device` first:
/// where they cannot run, as in a build without CUDA, or are wrong, a warning says so and they stay
/// off. On the CPU they are never on.
void use_own_cuda_kernels(bool on, at::Device device);

bool own_cuda_kernels();

}  // namespace cdm
