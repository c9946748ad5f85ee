// SPDX-License-Identifier: MIT
// Weights that come without a configuration of ours, and the network they belong to.
#pragma once

#include <string>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"
#include "cdm/run/checkpoint.h"

namespace cdm {

/// `config` with what the weights alone know: model.head_channels of a UNet, where it is 0 and not
/// the default width, and data.channels where it is 0. No weight depends on data.image_size: where
/// it is 0, it is that of data.kind. Throws UserError, naming `source` and the key, when another
/// diffusion.steps or model.num_classes is needed, and when no image size is known.
RunConfig fit_to_weights(const RunConfig& config, const NamedTensors& weights,
                         const std::string& source);

/// The same state in float32, and in the order of the configured network's parameters. Throws
/// UserError, naming `source`, unless names and shapes are the network's.
TrainingState fit_to_network(const RunConfig& config, const TrainingState& checkpoint,
                             const std::string& source);

}  // namespace cdm
