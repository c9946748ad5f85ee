// SPDX-License-Identifier: MIT
// A trained model, ready for sampling and scoring.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/diffusion/classifier.h"
#include "cdm/run/run_dir.h"

namespace cdm {

struct LoadOptions {
  std::string path;                     // run directory or checkpoint folder
  std::vector<std::string> overrides;   // section.key=value over the run's configuration
  std::string device;                   // "" = the configuration's
  std::optional<Arithmetic> precision;  // empty = the configuration's
  int local_rank = 0;                   // the GPU that "auto" and "cuda" mean
  bool average = true;                  // the moving average of the weights, or the last ones
};

struct Model {
  RunConfig config;
  ModelFiles files;
  std::shared_ptr<Denoiser> denoiser;

  /// The same as a classifier. Throws UserError, naming the model, when it is a plain denoiser.
  const Classifier& classifier() const;
};

/// Throws UserError for what is not a model, is damaged, or does not fit its configuration.
Model load_model(const LoadOptions& options);

}  // namespace cdm
