// SPDX-License-Identifier: MIT
#include "cdm/train/step_inputs.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>

namespace cdm {

StepInputs rows_of(const StepInputs& inputs, const RowRange& range) {
  const auto rows = [&](const at::Tensor& all) { return rows_of(all, range.first, range.count); };
  StepInputs part;
  part.x0 = rows(inputs.x0);
  part.labels = rows(inputs.labels);
  part.told = rows(inputs.told);
  for (const auto& [name, drawn] : inputs.drawn) part.drawn.emplace_back(name, rows(drawn));
  part.first_row = inputs.first_row + range.first;
  part.all_rows = inputs.all_rows == 0 ? inputs.x0.size(0) : inputs.all_rows;
  return part;
}

StepInputs draw_inputs(const RunConfig& config, const Objective& objective,
                       const NoiseSchedule& schedule, const StreamIndex& step, const at::Tensor& x0,
                       const at::Tensor& labels, std::int64_t first_row, std::int64_t all_rows) {
  const RowDraws draws(static_cast<std::uint64_t>(config.seed), step, first_row, x0, all_rows);
  StepInputs inputs;
  inputs.x0 = x0;
  inputs.drawn = objective.draw(schedule, draws);
  inputs.first_row = first_row;
  inputs.all_rows = all_rows == 0 ? x0.size(0) : all_rows;
  if (config.model.num_classes > 0) {
    const at::Tensor dropped = draws.uniform(Purpose::label_dropout).lt(config.loss.label_dropout);
    inputs.labels = at::where(dropped, at::full_like(labels, config.model.num_classes), labels);
  }
  return inputs;
}

StepInputs inputs_of_step(const RunConfig& config, const Objective& objective,
                          const NoiseSchedule& schedule, BatchStream& batches,
                          const StreamIndex& step, const RowRange& range) {
  const Batch batch = batches.at_step(step, range.first, range.count);
  const RandomStream stream = {static_cast<std::uint64_t>(config.seed), Purpose::dequantize, step};
  const at::Tensor x0 =
      to_model_scale(batch.images, at::kFloat, config.data.dequantize, stream, range.first);
  StepInputs inputs = draw_inputs(config, objective, schedule, step, x0, batch.labels, range.first,
                                  config.train.batch_size);
  inputs.told = batch.told;
  return inputs;
}

}  // namespace cdm
