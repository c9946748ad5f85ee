// SPDX-License-Identifier: MIT
// The options of programs that load a trained model.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "cdm/run/load_model.h"

namespace cdm {

/// Adds RUN_OR_CHECKPOINT and the options of add_weights_options(), which fill `options` in.
void add_model_options(CLI::App& app, LoadOptions& options);

/// Adds --device, --precision, --weights and --set, which fill `options` in.
void add_weights_options(CLI::App& app, LoadOptions& options);

/// Adds --class, which takes names or numbers of classes, separated by commas.
void add_class_option(CLI::App& app, std::string& classes);

/// The numbers of the classes that `words` names, the value of --class. Warns of a class that had
/// no training images. Throws UserError unless the model can be sampled with these classes and this
/// guidance. `is_option` says for the message whether the guidance comes from --guidance or from
/// the configuration.
std::vector<std::int64_t> chosen_classes(const std::string& words, const LoadedModel& loaded,
                                         double guidance, bool is_option);

}  // namespace cdm
