// SPDX-License-Identifier: MIT
#include "cdm/device/cuda_kernels.h"

#include <atomic>

#include "cdm/core/text.h"
#include "device/nvidia_driver.h"

namespace cdm {
namespace {

std::atomic<bool> in_use = false;

}  // namespace

bool own_cuda_kernels() { return in_use; }
void set_own_cuda_kernels(bool on) { in_use = on; }

bool built_with_cuda_kernels() { return CDM_HAS_CUDA_KERNELS; }

std::string why_kernels_do_not_run(int capability) {
  if (capability == 0 || capability >= CDM_OLDEST_ARCHITECTURE) return "";
  return concat("the GPU has compute capability ", capability_text(capability),
                ", and the kernels are built for ", capability_text(CDM_OLDEST_ARCHITECTURE),
                " or more; CMAKE_CUDA_ARCHITECTURES=native builds them for the GPU at hand");
}

}  // namespace cdm
