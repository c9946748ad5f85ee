// SPDX-License-Identifier: MIT
// One training step, looked at closely: what is written of a step whose numbers are not finite, and
// that step taken again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>

#include "cdm/config/config.h"
#include "cdm/diffusion/schedule.h"
#include "cdm/run/run_dir.h"
#include "cdm/run/metrics.h"

namespace cdm {

/// Adds a line of JSON to `file`: step (1, 2, ...: the number for --replay-step), seed, how many
/// images of the batch were at each level, and the loss, its terms and gradient_norm, as text where
/// they are not finite.
void write_skipped_step(const std::filesystem::path& file, const RunConfig& config,
                        const Objective& objective, const NoiseSchedule& schedule,
                        const SkippedStep& step);

/// Takes step `number` (1, 2, ...) of the run again: from its newest whole checkpoint before that
/// step, or from the beginning, through the steps between, with the very numbers of the run (on the
/// same device, with equal threads). Prints to `out`, one "name value" a line: step, seed,
/// from_step, loss and its terms, gradient_norm, learning_rate, levels ("t:images" ...), and where
/// something is not finite the rows of the batch and the parameters where it occurs. Changes
/// nothing on disk. Throws UserError when there is no such run, or its configuration is another.
void replay_step(const RunConfig& config, const RunDir& run, at::Device device, std::int64_t number,
                 std::ostream& out);

}  // namespace cdm
