// SPDX-License-Identifier: MIT
// Chooses the device of this process, and makes the settings that hold for the whole process.
#pragma once

#include <c10/core/Device.h>

#include "cdm/config/config.h"

namespace cdm {

/// Returns the device that config.device names; "auto" and "cuda" stand for GPU number
/// `local_rank`. Makes these settings: TF32 as `arithmetic` says, config.operations, and
/// config.own_cuda_kernels. Throws UserError as resolve_device() does.
at::Device start_device(const RunConfig& config, Arithmetic arithmetic, int local_rank = 0);

}  // namespace cdm
