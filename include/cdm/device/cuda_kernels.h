// SPDX-License-Identifier: MIT
// Whether this process uses the project's own CUDA kernels. They are tried and turned on by
// use_own_cuda_kernels() of ops/cuda_kernels.h.
#pragma once

namespace cdm {

bool own_cuda_kernels();
void set_own_cuda_kernels(bool on);

}  // namespace cdm
