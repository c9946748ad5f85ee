// SPDX-License-Identifier: MIT
#include "cdm/device/cuda_kernels.h"

#include <atomic>

namespace cdm {
namespace {

std::atomic<bool> in_use = false;

}  // namespace

bool own_cuda_kernels() { return in_use; }
void set_own_cuda_kernels(bool on) { in_use = on; }

}  // namespace cdm
