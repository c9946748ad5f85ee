// SPDX-License-Identifier: MIT
// A network with its schedule, as a configuration describes them.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>

#include "cdm/config/config.h"
#include "cdm/device/precision.h"
#include "cdm/diffusion/denoiser.h"

namespace cdm {

/// On `device`, in the types of `precision`, with initial weights derived from `seed`. Throws
/// UserError as make_network and NoiseSchedule do, and for bf16 without a UNet.
std::shared_ptr<Denoiser> make_model(const RunConfig& config, const NetworkShape& shape,
                                     at::Device device, const Precision& precision,
                                     std::uint64_t seed);

}  // namespace cdm
