// SPDX-License-Identifier: MIT
// Whether this process uses the project's own CUDA kernels: a flag of the process, off at first.
// use_own_cuda_kernels() of ops/cuda_kernels.h tests the kernels and sets it.
#pragma once

#include <string>

namespace cdm {

bool own_cuda_kernels();
void set_own_cuda_kernels(bool on);

/// Whether this build has the kernels.
bool built_with_cuda_kernels();

/// Why the kernels of this build cannot run on a GPU of that compute capability (device.h); empty
/// when they can, and when the capability is not known. They run on the architectures that they
/// were built for and on newer ones.
std::string why_kernels_do_not_run(int capability);

}  // namespace cdm
