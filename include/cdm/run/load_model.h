// SPDX-License-Identifier: MIT
// Loads a trained model for sampling and scoring.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/device/precision.h"
#include "cdm/diffusion/model.h"
#include "cdm/run/model_files.h"

namespace cdm {

struct LoadOptions {
  std::string path;                     // run directory or checkpoint folder
  std::vector<std::string> overrides;   // section.key=value, applied to the run's configuration
  std::string device;                   // "" = as in the configuration
  std::optional<Arithmetic> precision;  // empty = as in the configuration
  Work work = Work::scoring;            // what the model is loaded for
  int local_rank = 0;                   // number of the GPU that "auto" and "cuda" stand for
  std::string weights = "ema";          // which of weights_names() to load; see checkpoint.h
};

struct LoadedModel {
  RunConfig config;
  ModelFiles files;
  Model model;
  Arithmetic arithmetic;                       // in which the model computes; never automatic
  std::map<std::string, std::string> changed;  // keys set by options.overrides, with their values

  /// The model's density. Throws UserError, naming the checkpoint, for a plain denoiser.
  const Density& density() const;
};

/// Throws UserError when there is no model at options.path, when it is damaged, or when it does not
/// fit its configuration.
LoadedModel load_model(const LoadOptions& options);

}  // namespace cdm
