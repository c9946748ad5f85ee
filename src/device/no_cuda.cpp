// SPDX-License-Identifier: MIT
// Replaces random.cu in a build without CUDA.
#include "device/no_kernels.h"
#include "device/random_launch.h"

namespace cdm::cuda {

void fill_rows(float*, std::int64_t, std::int64_t, const PhiloxRows&, Distribution, void*) {
  no_kernels();
}

void fill_integers(std::int64_t*, std::int64_t, std::int64_t, const PhiloxRows&, void*) {
  no_kernels();
}

void write_random_rows(std::int64_t*, const PhiloxRows&, std::uint64_t, std::int64_t, void*) {
  no_kernels();
}

}  // namespace cdm::cuda
