// SPDX-License-Identifier: MIT
// Replaces kernels.cu in a build without CUDA.
#include "device/no_kernels.h"
#include "ops/channels/launch.h"

namespace cdm::cuda {

template <class T>
void residual_sum(std::int64_t, std::int64_t, const T*, const T*, const Sum<T>*, T*, void*) {
  no_kernels();
}

template <class T>
void sum_channels(std::int64_t, std::int64_t, const T*, Sum<T>*, Sum<T>*, void*) {
  no_kernels();
}

template <class T>
void concat_channels(std::int64_t, const Concatenation<T>&, void*) {
  no_kernels();
}

template <class T>
void split_channels(std::int64_t, const Concatenation<T>&, void*) {
  no_kernels();
}

CDM_CHANNEL_LAUNCHERS(float)
CDM_CHANNEL_LAUNCHERS(double)
CDM_CHANNEL_LAUNCHERS(Bfloat16)

}  // namespace cdm::cuda
