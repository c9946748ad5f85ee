// SPDX-License-Identifier: MIT
// The options of every program that loads a trained model.
#pragma once

#include <CLI/CLI.hpp>

#include "cdm/train/load_model.h"

namespace cdm {

/// Adds RUN_OR_CHECKPOINT and the options below.
void add_model_options(CLI::App& app, LoadOptions& options);

/// Adds --device, --precision, --weights and --set, which fill `options` in.
void add_weights_options(CLI::App& app, LoadOptions& options);

}  // namespace cdm
