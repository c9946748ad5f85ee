// SPDX-License-Identifier: MIT
// Checkpoints: a training state on disk.
//
// A checkpoint is a folder step-00001000/ with model.safetensors (weights), ema.safetensors (their
// moving average), ema2.safetensors, ... (further averages, if the run keeps any),
// optimizer.safetensors (the moments) and state.json, which holds the counters, the configuration
// of the run, the version of the format, the size and CRC-32 of the other files, and its own
// CRC-32. The folder is written under a temporary name and then renamed, so that a folder with the
// final name is complete. A checkpoint of averages alone has neither model nor optimizer: it can be
// sampled and scored, but training cannot go on from it.
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

/// Writes the averages alone of `checkpoint` as the checkpoint folder `path`, in the same way.
void write_averages(const std::filesystem::path& path, const TrainingState& checkpoint,
                    const RunConfig& config);

/// Reads the checkpoint folder `path`, on the CPU. Throws, naming the file, DamagedCheckpoint when
/// a file is missing or its size or CRC-32 is wrong, and UserError when a file cannot be read or
/// has another format, or when the checkpoint holds averages alone.
TrainingState read_checkpoint(const std::filesystem::path& path);

/// Reads only the number of steps of a checkpoint. Throws as read_checkpoint() does.
std::int64_t read_checkpoint_step(const std::filesystem::path& path);

/// Reads only the configuration of a checkpoint, and applies `overrides` as load_config() does.
/// Throws as read_checkpoint() and load_config() do.
RunConfig read_checkpoint_config(const std::filesystem::path& path,
                                 const std::vector<std::string>& overrides = {},
                                 Stage stage = Stage::training);

/// The names of weights: "model" for those of the last step, "ema" for their first moving average,
/// "ema2", "ema3", ... for the others.
std::vector<std::string> weights_names();
/// The name of average number `average` = 0, 1, ....
std::string average_name(std::int64_t average);

/// Reads only the weights with that name of a checkpoint. Throws as read_checkpoint() does, and
/// UserError when the checkpoint has no such weights.
NamedTensors read_weights(const std::filesystem::path& path, const std::string& name);

/// The step in the name of a checkpoint that list_checkpoints() returned.
std::int64_t step_of(const std::filesystem::path& path);

/// The checkpoint folders in `folder`, lowest step first; empty when `folder` does not exist. They
/// may be damaged. Throws UserError when `folder` cannot be read, or is a link to something that
/// does not exist.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);

}  // namespace cdm
