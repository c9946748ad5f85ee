// SPDX-License-Identifier: MIT
// Checkpoints: a training state on disk.
//
// A checkpoint is a folder step-00001000/ with model.safetensors (weights), ema.safetensors (their
// moving average), optimizer.safetensors (Adam's moments) and state.json, which holds the counters,
// the configuration of the run, the version of the format, the size and CRC-32 of the other files,
// and its own CRC-32. The folder is written under a temporary name and then renamed, so that a
// folder with the final name is complete.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/error.h"
#include "cdm/core/tensors.h"
#include "cdm/train/training_state.h"

namespace cdm {

/// A checkpoint whose content is damaged: a file of it is missing, cut short, or does not agree
/// with its checksum. A checkpoint that cannot be read for another reason (permissions, a newer
/// format) is not damaged: that is a plain UserError.
class DamagedCheckpoint : public UserError {
 public:
  using UserError::UserError;
};

/// The name of the checkpoint of step 1000: "step-00001000".
std::string checkpoint_name(std::int64_t step);

/// Writes `folder`/step-N and returns its path. `config` is the configuration that the state was
/// trained with. A checkpoint of the same step is removed once the new one is complete. Throws
/// std::runtime_error, naming the path and the reason; an incomplete checkpoint is removed.
std::filesystem::path write_checkpoint(const std::filesystem::path& folder,
                                       const TrainingState& checkpoint, const RunConfig& config);

/// Reads the checkpoint folder `path`, on the CPU. Throws, naming the file, DamagedCheckpoint when
/// a file is missing or its size or CRC-32 is wrong, and UserError when a file cannot be read or
/// has another format.
TrainingState read_checkpoint(const std::filesystem::path& path);

/// Reads only the configuration of a checkpoint, and applies `overrides` as load_config() does.
/// Throws as read_checkpoint() and load_config() do.
RunConfig read_checkpoint_config(const std::filesystem::path& path,
                                 const std::vector<std::string>& overrides = {},
                                 Stage stage = Stage::training);

/// Reads only the weights of a checkpoint: their moving average if `average`, else the weights of
/// the last step. Throws as read_checkpoint() does.
NamedTensors read_weights(const std::filesystem::path& path, bool average);

/// The step in the name of a checkpoint that list_checkpoints() returned.
std::int64_t step_of(const std::filesystem::path& path);

/// The checkpoint folders in `folder`, lowest step first; empty when `folder` does not exist. They
/// may be damaged. Throws UserError when `folder` cannot be read, or is a link to something that
/// does not exist.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);

}  // namespace cdm
