// SPDX-License-Identifier: MIT
// Replaces kernels.cu in a build without CUDA.
#include <stdexcept>

#include "ops/channels/launch.h"

namespace cdm::cuda {
namespace {

[[noreturn]] void refuse() {
  throw std::runtime_error("this build has no CUDA kernels (CDM_WITH_CUDA=OFF)");
}

}  // namespace

template <class T>
void residual_sum(std::int64_t, std::int64_t, const T*, const T*, const Sum<T>*, T*, void*) {
  refuse();
}

template <class T>
void sum_channels(std::int64_t, std::int64_t, const T*, Sum<T>*, Sum<T>*, void*) {
  refuse();
}

template <class T>
void concat_channels(std::int64_t, const Concatenation<T>&, void*) {
  refuse();
}

template <class T>
void split_channels(std::int64_t, const Concatenation<T>&, void*) {
  refuse();
}

CDM_CHANNEL_LAUNCHERS(float)
CDM_CHANNEL_LAUNCHERS(double)
CDM_CHANNEL_LAUNCHERS(Bfloat16)

}  // namespace cdm::cuda
