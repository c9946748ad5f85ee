// SPDX-License-Identifier: MIT
// A training state on disk: weights, their moving average, Adam's moments, and the step counter.
//
// A checkpoint is a folder step-00001000/ with model.safetensors, ema.safetensors,
// optimizer.safetensors and state.json; the last holds the step, the format's version, the size and
// CRC-32 of the others, and its own CRC-32. It is written beside its final name and renamed, so a
// folder with that name is whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cdm/core/tensors.h"
#include "cdm/train/training_state.h"

namespace cdm {

/// "step-00001000"
std::string checkpoint_name(std::int64_t step);

/// Writes `folder`/step-N, replacing one of the same step, which stays until the new one is there.
/// Throws std::runtime_error naming the
/// path and reason; nothing half-written is left behind.
std::filesystem::path write_checkpoint(const std::filesystem::path& folder,
                                       const TrainingState& checkpoint);

/// Reads one checkpoint folder, on the CPU. Throws UserError, naming the file, when something is
/// missing, of a newer format or damaged (size or CRC).
TrainingState read_checkpoint(const std::filesystem::path& path);

/// Only the weights that sampling and scoring need: the moving average, or the model's own.
NamedTensors read_weights(const std::filesystem::path& path, bool average);

/// The step that the name of a listed checkpoint says.
std::int64_t step_of(const std::filesystem::path& path);

/// The checkpoints in `folder`, oldest first; none when there is no such folder.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);

}  // namespace cdm
