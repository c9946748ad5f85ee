// SPDX-License-Identifier: MIT
// Replaces kernels.cu in a build without CUDA.
#include <stdexcept>

#include "ops/attention/launch.h"

namespace cdm::cuda {
namespace {

[[noreturn]] void refuse() {
  throw std::runtime_error("this build has no CUDA kernels (CDM_WITH_CUDA=OFF)");
}

}  // namespace

template <class T>
void softmax_rows(std::int64_t, std::int64_t, double, T*, void*) {
  refuse();
}

template <class T>
void softmax_rows_gradient(std::int64_t, std::int64_t, double, const T*, const T*, T*, void*) {
  refuse();
}

template <class T>
void softmax_rows_second(std::int64_t, std::int64_t, double, const SoftmaxSecond<T>&, void*) {
  refuse();
}

CDM_SOFTMAX_LAUNCHERS(float)
CDM_SOFTMAX_LAUNCHERS(double)
CDM_SOFTMAX_LAUNCHERS(Bfloat16)

}  // namespace cdm::cuda
