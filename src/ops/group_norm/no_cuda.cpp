// SPDX-License-Identifier: MIT
// Replaces kernels.cu in a build without CUDA.
#include <stdexcept>

#include "ops/group_norm/launch.h"

namespace cdm::cuda {
namespace {

[[noreturn]] void refuse() {
  throw std::runtime_error("this build has no CUDA kernels (CDM_WITH_CUDA=OFF)");
}

}  // namespace

template <class T>
void norm_forward(const NormLayout&, const ops::NormInput<T, Sum<T>>&, double, T*, void*) {
  refuse();
}

template <class T>
void norm_backward(const NormLayout&, const ops::NormInput<T, Sum<T>>&,
                   const ops::NormBackward<T, Sum<T>>&, void*) {
  refuse();
}

template <class T>
void norm_double_backward(const NormLayout&, const ops::NormInput<T, Sum<T>>&,
                          const ops::NormDoubleBackward<T, Sum<T>>&, void*) {
  refuse();
}

CDM_NORM_LAUNCHERS(float)
CDM_NORM_LAUNCHERS(double)
CDM_NORM_LAUNCHERS(Bfloat16)

}  // namespace cdm::cuda
