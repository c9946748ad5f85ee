// SPDX-License-Identifier: MIT
// A model as a configuration describes it.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

#include "cdm/config/config.h"
#include "cdm/device/precision.h"
#include "cdm/diffusion/model.h"

namespace cdm {

/// What the network must know, of a configuration whose data.channels and data.image_size are
/// known.
NetworkShape network_shape(const RunConfig& config);

/// A model on `device`, in the types of `precision`, with initial weights derived from `seed`. It
/// is evaluated as suits the device (inference/evaluators.h). Throws UserError as make_network and
/// NoiseSchedule do, and for bf16 without a UNet.
Model make_model(const RunConfig& config, const NetworkShape& shape, at::Device device,
                 const Precision& precision, std::uint64_t seed);

/// The same for training: weights of `type` derived from the configuration's seed, and a bf16 body
/// where the configuration asks for it.
Model make_training_model(const RunConfig& config, const NetworkShape& shape, at::Device device,
                          at::ScalarType type);

}  // namespace cdm
