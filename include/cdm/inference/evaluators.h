// SPDX-License-Identifier: MIT
// Evaluators of a model on a batch: with all threads of a CPU, or by replaying a CUDA graph.
#pragma once

#include <memory>

#include "cdm/config/config.h"
#include "cdm/device/recorded.h"
#include "cdm/diffusion/model.h"

namespace cdm {

/// Divides the rows of a batch among the threads of a CPU (device/parallel.h). On a GPU it
/// evaluates the whole batch at once.
std::shared_ptr<const RowEvaluator> parallel_evaluator();

/// Records the evaluations of a model and replays them (device/recorded.h), each question for
/// batches of one size; a last, smaller batch is evaluated as it comes. An object serves one model,
/// and may be called by one thread at a time.
std::shared_ptr<const RowEvaluator> recorded_evaluator(MakeRecorder make_recorder);

/// recorded_evaluator() on a GPU with use_cuda_graphs(), otherwise parallel_evaluator().
std::shared_ptr<const RowEvaluator> evaluator_for(const RunConfig& config, at::Device device);

}  // namespace cdm
