// SPDX-License-Identifier: MIT
// Checkpoints: a training state on disk.
//
// A checkpoint is a folder step-00001000/ with model.safetensors (weights), ema.safetensors (their
// moving average), optimizer.safetensors (Adam's moments) and state.json, which holds the counters,
// the version of the format, the size and CRC-32 of the other files, and its own CRC-32. The folder
// is written under a temporary name and then renamed, so that a folder with the final name is
// complete.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cdm/core/tensors.h"
#include "cdm/train/training_state.h"

namespace cdm {

/// The name of the checkpoint of step 1000: "step-00001000".
std::string checkpoint_name(std::int64_t step);

/// Writes `folder`/step-N and returns its path. A checkpoint of the same step is removed once the
/// new one is complete. Throws std::runtime_error, naming the path and the reason; an incomplete
/// checkpoint is removed.
std::filesystem::path write_checkpoint(const std::filesystem::path& folder,
                                       const TrainingState& checkpoint);

/// Reads the checkpoint folder `path`, on the CPU. Throws UserError, naming the file, when a file
/// is missing, has another format or is damaged (its size or CRC-32 is wrong).
TrainingState read_checkpoint(const std::filesystem::path& path);

/// Reads only the weights of a checkpoint: their moving average if `average`, else the weights of
/// the last step. Throws UserError as read_checkpoint() does.
NamedTensors read_weights(const std::filesystem::path& path, bool average);

/// The step in the name of a checkpoint that list_checkpoints() returned.
std::int64_t step_of(const std::filesystem::path& path);

/// The checkpoint folders in `folder`, lowest step first; empty when `folder` does not exist. They
/// may be damaged.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);

}  // namespace cdm
