// SPDX-License-Identifier: MIT
// Replaces kernels.cu in a build without CUDA.
#include "device/no_kernels.h"
#include "ops/attention/launch.h"

namespace cdm::cuda {

template <class T>
void softmax_rows(std::int64_t, std::int64_t, double, T*, void*) {
  no_kernels();
}

template <class T>
void softmax_rows_gradient(std::int64_t, std::int64_t, double, const T*, const T*, T*, void*) {
  no_kernels();
}

template <class T>
void softmax_rows_second(std::int64_t, std::int64_t, double, const SoftmaxSecond<T>&, void*) {
  no_kernels();
}

CDM_SOFTMAX_LAUNCHERS(float)
CDM_SOFTMAX_LAUNCHERS(double)
CDM_SOFTMAX_LAUNCHERS(Bfloat16)

}  // namespace cdm::cuda
