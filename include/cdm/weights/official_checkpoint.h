// SPDX-License-Identifier: MIT
// The training state in the format of the authors' code, which saves a dict with torch.save:
//   epoch                  int
//   model_state_dict       OrderedDict: the weights, in the order in which they are registered
//   ema_model_state_dict   dict: the moving average of the weights
//   optimizer_state_dict   Adam's: {state: {number: {step, exp_avg, exp_avg_sq}}, param_groups};
//                          parameters are numbered in the order in which they are registered
//   loss                   float
// Files that other training codes wrote, or that were stripped to the weights, are read, too, as
// far as it is clear which of their entries holds the weights.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/run/checkpoint.h"

namespace cdm {

struct OfficialCheckpoint {
  TrainingState state;
  /// What the file lacks or what of it was not read, one sentence each, beginning with its name.
  std::vector<std::string> warnings;
};

/// Reads such a file, on the CPU. The state's step is Adam's; its names are those of the authors'
/// network. Epoch and loss are not read.
///
/// Without model_state_dict, the weights are the file itself (a bare state_dict), or the one entry
/// that holds weights; of several, the one named state_dict, model, network, net or unet. The
/// moving average may be missing or empty: the weights then take its place. The optimizer may be
/// missing or empty: moments and step are then zero. All of this is in the warnings, and the names
/// of entries that hold weights but are not read. The prefixes "module." and "_orig_mod." of names,
/// which PyTorch adds to wrapped networks, are removed, and an entry n_averaged is ignored. Throws
/// UserError, naming the file, when it does not have this format.
OfficialCheckpoint read_official_checkpoint(const std::filesystem::path& path);

/// Writes such a file, which torch.load(path, weights_only=True) opens. Adam's settings are those
/// of `config`; the learning rate is the one before warm-up and decay. Epoch and loss, which the
/// authors' loader expects, are 0. The file is written under a temporary name and then renamed.
void write_official_checkpoint(const std::filesystem::path& path, const TrainingState& state,
                               const TrainConfig& config);

}  // namespace cdm
