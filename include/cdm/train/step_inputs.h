// SPDX-License-Identifier: MIT
// What one training step learns from: images, labels and random numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/config/config.h"
#include "cdm/data/batches.h"
#include "cdm/device/parallel.h"
#include "cdm/diffusion/objective.h"

namespace cdm {

/// Rows of a step's batch.
struct StepInputs : TrainingRows {
  std::int64_t first_row = 0;  // the number of row 0 in the batch of all processes together,
  std::int64_t all_rows = 0;   // and the number of rows of that batch; 0 = these B
};

/// Rows `range` of `inputs`; they remain rows of the same batch.
StepInputs rows_of(const StepInputs& inputs, const RowRange& range);

/// The inputs of training step `step` (0, 1, ...) for images x0 [B, C, H, W] with data labels [B]
/// (not used where num_classes is 0): adds what the objective draws, and label dropout. The images
/// are rows first_row, first_row + 1, ... of a batch of all_rows (0 = B). What is drawn for a row
/// depends on the seed, the step and the row's number only.
StepInputs draw_inputs(const RunConfig& config, const Objective& objective,
                       const NoiseSchedule& schedule, std::int64_t step, const at::Tensor& x0,
                       const at::Tensor& labels, std::int64_t first_row = 0,
                       std::int64_t all_rows = 0);

/// The inputs of step `step`: rows `range` of its batch.
StepInputs inputs_of_step(const RunConfig& config, const Objective& objective,
                          const NoiseSchedule& schedule, BatchStream& batches, std::int64_t step,
                          const RowRange& range);

}  // namespace cdm
