// SPDX-License-Identifier: MIT
#include "cdm/run/start_device.h"

#include "cdm/device/device.h"
#include "cdm/device/precision.h"
#include "cdm/ops/cuda_kernels.h"
#include "cdm/ops/ops.h"

namespace cdm {

at::Device start_device(const RunConfig& config, Arithmetic arithmetic, int local_rank) {
  const at::Device device = resolve_device(config.device, local_rank);
  allow_tf32(precision_of(arithmetic).tf32);
  ops::set_fused(config.operations == Operations::fused);
  use_own_cuda_kernels(config.own_cuda_kernels, device);
  return device;
}

}  // namespace cdm
