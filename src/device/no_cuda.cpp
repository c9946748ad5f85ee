// SPDX-License-Identifier: MIT
// Replaces random.cu in a build without CUDA.
#include <stdexcept>

#include "device/random_launch.h"

namespace cdm::cuda {

namespace {

[[noreturn]] void no_kernels() {
  throw std::runtime_error("this build has no CUDA kernels (CDM_WITH_CUDA=OFF)");
}

}  // namespace

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
