// SPDX-License-Identifier: MIT
// The training state in the format of the authors' code, which saves a dict with torch.save:
//   epoch                  int
//   model_state_dict       OrderedDict: the weights, in the order in which they are registered
//   ema_model_state_dict   dict: the moving average of the weights
//   optimizer_state_dict   Adam's: {state: {number: {step, exp_avg, exp_avg_sq}}, param_groups};
//                          parameters are numbered in the order in which they are registered
//   loss                   float
#pragma once

#include <filesystem>

#include "cdm/config/config.h"
#include "cdm/run/checkpoint.h"

namespace cdm {

/// Reads such a file, on the CPU. The state's step is Adam's; its names are those of the authors'
/// network. Epoch and loss are not read.
///
/// The moving average may be missing: the weights then take its place. The optimizer may be
/// missing: moments and step are then zero. The prefixes "module." and "_orig_mod." of names, which
/// PyTorch adds to wrapped networks, are removed, and an entry n_averaged is ignored. Throws
/// UserError, naming the file, when it does not have this format.
TrainingState read_official_checkpoint(const std::filesystem::path& path);

/// Writes such a file, which torch.load(path, weights_only=True) opens. Adam's settings are those
/// of `config`; the learning rate is the one before warm-up and decay. Epoch and loss, which the
/// authors' loader expects, are 0. The file is written under a temporary name and then renamed.
void write_official_checkpoint(const std::filesystem::path& path, const TrainingState& state,
                               const TrainConfig& config);

}  // namespace cdm
