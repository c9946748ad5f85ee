// SPDX-License-Identifier: MIT
// The options of programs that load a trained model.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <vector>

#include "cdm/model/network.h"
#include "cdm/run/load_model.h"

namespace cdm {

/// Adds RUN_OR_CHECKPOINT and the options of add_weights_options(), which fill `options` in.
void add_model_options(CLI::App& app, LoadOptions& options);

/// Adds --device, --precision, --weights and --set, which fill `options` in.
void add_weights_options(CLI::App& app, LoadOptions& options);

/// Throws UserError unless the network can be sampled with these classes (of --class) and this
/// guidance. `is_option` says for the message whether the guidance comes from --guidance or from
/// the configuration.
void check_classes(const std::vector<std::int64_t>& classes, const Network& network,
                   double guidance, bool is_option);

}  // namespace cdm
