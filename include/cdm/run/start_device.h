// SPDX-License-Identifier: MIT
// Where and how this process calculates.
#pragma once

#include <c10/core/Device.h>

#include "cdm/config/config.h"

namespace cdm {

/// The device that config.device names; `local_rank` is the GPU that auto and cuda mean. Makes the
/// settings that hold for the whole process: TF32 as `arithmetic` says, config.operations and
/// config.own_cuda_kernels. Throws UserError as resolve_device does.
at::Device start_device(const RunConfig& config, Arithmetic arithmetic, int local_rank = 0);

}  // namespace cdm
