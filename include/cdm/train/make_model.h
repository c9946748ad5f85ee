// SPDX-License-Identifier: MIT
// Makes the model that a configuration describes.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

#include "cdm/config/config.h"
#include "cdm/device/precision.h"
#include "cdm/diffusion/model.h"

namespace cdm {

/// The shape of the network for `config`, whose data.channels and data.image_size must not be 0.
NetworkShape network_shape(const RunConfig& config);

/// A model on `device`, in the types of `precision`, with initial weights derived from `seed` and
/// the evaluator evaluator_for(config, device). With config.model.anchor, the network's anchor has
/// no statistics yet: Network::load() sets them. Throws UserError as make_network() and
/// NoiseSchedule do, and for bf16 with a network that is no UNet.
Model make_model(const RunConfig& config, const NetworkShape& shape, at::Device device,
                 const Precision& precision, std::uint64_t seed);

/// The same for training: weights of type `type`, initial weights derived from config.seed, and a
/// bf16 body when training on `device` is in bf16 (arithmetic_for()).
Model make_training_model(const RunConfig& config, const NetworkShape& shape, at::Device device,
                          at::ScalarType type);

}  // namespace cdm
