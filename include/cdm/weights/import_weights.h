// SPDX-License-Identifier: MIT
// Fits weights that come without a configuration of this project to a configured network.
#pragma once

#include <string>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"
#include "cdm/run/checkpoint.h"

namespace cdm {

/// `config` with values that are found in the weights: data.channels if it is 0, and, for a UNet,
/// model.head_channels if it is 0 and the weights have another width than that stands for. The
/// weights do not depend on data.image_size: if it is 0, it becomes the size of data.kind's images.
/// model.channel_mult = [] is settled for that size.
///
/// Throws UserError, naming `source` and the key, when the weights need another diffusion.steps or
/// model.num_classes, and when data.image_size is 0 and data.kind has images of any size.
RunConfig fit_to_weights(const RunConfig& config, const NamedTensors& weights,
                         const std::string& source);

/// The state with its tensors in float32 and in the order of the configured network's parameters,
/// and with as many averages as are configured. Throws UserError, naming `source`, unless names and
/// shapes are those of the network, and for train.optimizer = muon.
TrainingState fit_to_network(const RunConfig& config, const TrainingState& checkpoint,
                             const std::string& source);

}  // namespace cdm
