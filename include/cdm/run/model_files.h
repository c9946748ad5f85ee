// SPDX-License-Identifier: MIT
// Finding the files of a trained model, and reading its configuration.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cdm/config/config.h"

namespace cdm {

/// The files of a trained model.
struct ModelFiles {
  std::filesystem::path config;      // config.yaml of the run; it may be missing
  std::filesystem::path checkpoint;  // checkpoints/step-N
};

/// The model in `path`: a run directory, whose newest checkpoint is taken, or a checkpoint folder,
/// in a run or alone. Throws UserError when it is neither.
ModelFiles find_model(const std::filesystem::path& path);

/// The configuration of a trained model, with `overrides` as in load_config() after training: that
/// of config.yaml, or of the checkpoint when there is no config.yaml. Throws UserError, naming the
/// keys, when config.yaml contradicts the checkpoint in a key that says what was trained.
RunConfig load_config(const ModelFiles& files, const std::vector<std::string>& overrides = {});

}  // namespace cdm
