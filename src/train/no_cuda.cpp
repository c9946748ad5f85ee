// SPDX-License-Identifier: MIT
// Replaces update_kernels.cu in a build without CUDA.
#include "device/no_kernels.h"
#include "train/update_launch.h"

namespace cdm::cuda {

template <class T>
void launch_sum_squares(const UpdateTable<T>&, double*, void*) {
  no_kernels();
}

template <class T>
void launch_decide(const UpdateRules&, const Decision<T>&, void*) {
  no_kernels();
}

template <class T>
void launch_update(const UpdateTable<T>&, const UpdateRules&, const UpdateFactors*, void*) {
  no_kernels();
}

CDM_UPDATE_LAUNCHERS(float)
CDM_UPDATE_LAUNCHERS(double)

}  // namespace cdm::cuda
