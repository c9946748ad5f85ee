// SPDX-License-Identifier: MIT
// The training state as the authors' code saves it with torch.save:
//   epoch                  int
//   model_state_dict       OrderedDict, in the parameters' order of registration
//   ema_model_state_dict   dict: their moving average
//   optimizer_state_dict   Adam's: {state: {number: {step, exp_avg, exp_avg_sq}}, param_groups},
//   where
//                          parameters are numbered in their order of registration
//   loss                   float
#pragma once

#include <filesystem>

#include "cdm/config/config.h"
#include "cdm/run/checkpoint.h"

namespace cdm {

/// Reads such a file, on the CPU. The state's step is Adam's, its names are those of the authors'
/// network. Epoch and loss are not read. What may be missing: the moving average (the model's
/// weights are taken) and the optimizer (moments and step are zero). Names may begin with "module."
/// or "_orig_mod.", as wrapped networks have them, and the average may hold n_averaged. Throws
/// UserError, naming the file, for anything else.
TrainingState read_official_checkpoint(const std::filesystem::path& path);

/// Writes such a file, which torch.load(path, weights_only=True) opens. Adam's settings are those
/// of `config`, with the learning rate before warm-up and decay. Epoch and loss, which the authors'
/// loader expects, are 0. Written beside `path`, then renamed.
void write_official_checkpoint(const std::filesystem::path& path, const TrainingState& state,
                               const TrainConfig& config);

}  // namespace cdm
