// SPDX-License-Identifier: MIT
// Finding out why the numbers of a training step are NaN or infinite: a record of each skipped
// step, and a replay of one step with details.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>

#include "cdm/config/config.h"
#include "cdm/diffusion/schedule.h"
#include "cdm/run/metrics.h"
#include "cdm/run/run_dir.h"

namespace cdm {

/// Adds a line of JSON about a skipped step to `file`: step (counted from 1, as for --replay-step),
/// seed, levels (the number of images of the batch at each level), loss, its terms and
/// gradient_norm. NaN and infinity are written as text. Throws std::runtime_error when the file
/// cannot be written.
void write_skipped_step(const std::filesystem::path& file, const RunConfig& config,
                        const Objective& objective, const NoiseSchedule& schedule,
                        const SkippedStep& step);

/// Computes step `number` (counted from 1) of the run again. It starts at the newest undamaged
/// checkpoint before that step, or at the beginning, and takes the steps between. On the same
/// device and with the same number of threads, all numbers are those of the run.
///
/// Prints one "name value" per line to `out`: step, seed, from_step, loss and its terms,
/// gradient_norm, learning_rate, levels ("t:images" ...). If loss or gradient is NaN or infinite,
/// it also prints bad_gradient, for each parameter whose gradient is not finite, and bad_row, for
/// each row of the batch whose own loss or gradient is not. Changes nothing on disk. Throws
/// UserError when there is no run in `run`, when it was started with another configuration, and for
/// a step beyond train.iterations.
void replay_step(const RunConfig& config, const RunDir& run, at::Device device, std::int64_t number,
                 std::ostream& out);

}  // namespace cdm
