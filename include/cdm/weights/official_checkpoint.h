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

#include <cstdint>
#include <filesystem>

#include "cdm/config/config.h"
#include "cdm/run/checkpoint.h"

namespace cdm {

struct OfficialCheckpoint {
  TrainingState state;  // its step is Adam's; names as in the authors' network, without "module."
  std::int64_t epoch = 0;
  double loss = 0.0;
};

/// Reads such a file, on the CPU. What may be missing: the moving average (the model's weights are
/// taken), the optimizer (moments and step are zero), epoch and loss (zero). Names may begin with
/// "module." or "_orig_mod.", as wrapped networks have them, and the average may hold n_averaged.
/// Throws UserError, naming the file, for anything else.
OfficialCheckpoint read_official_checkpoint(const std::filesystem::path& path);

/// Writes such a file, which torch.load(path, weights_only=True) opens. Adam's settings are those
/// of `config`, with the learning rate before warm-up and decay. Written beside `path`, then
/// renamed.
void write_official_checkpoint(const std::filesystem::path& path,
                               const OfficialCheckpoint& checkpoint, const TrainConfig& config);

}  // namespace cdm
