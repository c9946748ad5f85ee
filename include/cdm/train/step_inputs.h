// SPDX-License-Identifier: MIT
// The inputs of a training step: images, labels and random numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/config/config.h"
#include "cdm/data/batches.h"
#include "cdm/device/parallel.h"
#include "cdm/diffusion/objective.h"

namespace cdm {

/// Some rows of a step's batch. "Batch" means that of all processes together.
struct StepInputs : TrainingRows {
  std::int64_t first_row = 0;  // the position of the first of these rows in the batch
  std::int64_t all_rows = 0;   // the number of rows in the batch; 0 = these rows are all
};

/// Rows `range` of `inputs`, as rows of the same batch.
StepInputs rows_of(const StepInputs& inputs, const RowRange& range);

/// Adds to images x0 [B, C, H, W] and labels int64 [B] what step `step` (0, 1, ...) draws, where
/// the number of the step may be one in the memory of the device (device/random.h): the inputs of
/// the objective, and label dropout. The images are rows first_row, first_row + 1, ... of a batch
/// of all_rows rows (0 = B). Labels are not used when model.num_classes is 0. What is drawn for a
/// row depends only on the seed, the step and the row's position in the batch.
StepInputs draw_inputs(const RunConfig& config, const Objective& objective,
                       const NoiseSchedule& schedule, const StreamIndex& step, const at::Tensor& x0,
                       const at::Tensor& labels, std::int64_t first_row = 0,
                       std::int64_t all_rows = 0);

/// The inputs of step `step` (0, 1, ...) for rows `range` of its batch, whose images come from
/// `batches`, scaled as config.data.dequantize says.
StepInputs inputs_of_step(const RunConfig& config, const Objective& objective,
                          const NoiseSchedule& schedule, BatchStream& batches,
                          const StreamIndex& step, const RowRange& range);

}  // namespace cdm
