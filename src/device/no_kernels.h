// SPDX-License-Identifier: MIT
// What the launchers of CUDA kernels do in a build without CUDA.
#pragma once

#include <stdexcept>

namespace cdm::cuda {

[[noreturn]] inline void no_kernels() {
  throw std::runtime_error("this build has no CUDA kernels (CDM_WITH_CUDA=OFF)");
}

}  // namespace cdm::cuda
