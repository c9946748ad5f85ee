// SPDX-License-Identifier: MIT
// This project's own CUDA kernels (key own_cuda_kernels): random numbers, group normalisation,
// attention's softmax, residual sums, sums over channels, and concatenation. Without them, random
// numbers are drawn on the CPU and copied (those of dropout are computed on the GPU, by ATen's
// operations), and ATen does the rest. The random numbers are the same in both cases.
#pragma once

#include <c10/core/Device.h>

namespace cdm {

/// Turns the kernels on or off for this process. Before they are turned on, all of them are tried
/// on `device`, in every pass and in float32 and bfloat16. If one of them cannot be launched or
/// gives a wrong result, a warning says so and the kernels stay off. They also stay off when
/// `device` is the CPU, and in a build without CUDA.
void use_own_cuda_kernels(bool on, at::Device device);

}  // namespace cdm
