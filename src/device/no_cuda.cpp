// SPDX-License-Identifier: MIT
// Replaces random.cu in a build without CUDA.
#include <stdexcept>

#include "device/random_launch.h"

namespace cdm::cuda {

void fill_rows(float*, std::int64_t, std::int64_t, PhiloxRow, Distribution, void*) {
  throw std::runtime_error("this build has no CUDA kernels (CDM_WITH_CUDA=OFF)");
}

}  // namespace cdm::cuda
