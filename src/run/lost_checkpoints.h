// SPDX-License-Identifier: MIT
// A run whose checkpoints are gone must not silently begin again: its metrics would be overwritten.
#pragma once

#include "cdm/run/run_dir.h"

namespace cdm {

/// For a run without a checkpoint. Throws UserError, saying what is missing and how we know, when
/// the run once had a checkpoint:
/// - the lock's file notes one;
/// - metrics.jsonl has a line of a step after train.checkpoint_every of config.yaml;
/// - metrics.jsonl has a line of the last step;
/// - metrics.jsonl has a line, but there is no config.yaml.
/// Otherwise the run was stopped before its first checkpoint and can begin again.
void refuse_lost_checkpoints(const RunDir& run);

}  // namespace cdm
