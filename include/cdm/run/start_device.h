// SPDX-License-Identifier: MIT
// Chooses the device of this process, and makes the settings that hold for the whole process.
#pragma once

#include <c10/core/Device.h>

#include <string>

#include "cdm/config/config.h"
#include "cdm/device/precision.h"

namespace cdm {

struct Computation {
  at::Device device;
  Arithmetic arithmetic;  // what config.precision stands for; never automatic
};

/// What makes a GPU faster and this build does not have, for the log; empty when nothing is missing
/// that `config` asks for.
std::string what_the_build_lacks(const RunConfig& config, bool has_kernels, bool has_graphs);

/// Chooses the device that config.device names; "auto" and "cuda" stand for GPU number
/// `local_rank`. Makes these settings: TF32 as the arithmetic wants it, config.operations,
/// config.own_cuda_kernels and config.cudnn_autotuning. Throws UserError as resolve_device() does.
/// On a GPU, one line of the log says what_the_build_lacks().
Computation start_device(const RunConfig& config, Work work, int local_rank = 0);

}  // namespace cdm
