// SPDX-License-Identifier: MIT
// Whether this process uses the project's own CUDA kernels: a flag of the process, off at first.
// use_own_cuda_kernels() of ops/cuda_kernels.h tests the kernels and sets it.
#pragma once

namespace cdm {

bool own_cuda_kernels();
void set_own_cuda_kernels(bool on);

}  // namespace cdm
