// SPDX-License-Identifier: MIT
// Ways to evaluate a model on a batch: on all threads of a CPU, or by replaying a CUDA graph.
#pragma once

#include <memory>

#include "cdm/config/config.h"
#include "cdm/device/recorded.h"
#include "cdm/diffusion/model.h"

namespace cdm {

/// Shares the rows of a batch out among the threads of a CPU (device/parallel.h). On a GPU the
/// whole batch is one piece.
std::shared_ptr<const RowEvaluator> parallel_evaluator();

/// Records the noise predictions of one model and replays them (device/recorded.h). Other questions
/// are evaluated as parallel_evaluator() does. For one model, and one thread at a time.
std::shared_ptr<const RowEvaluator> recorded_evaluator(MakeRecorder make_recorder);

/// The evaluator that suits a device: recorded on a GPU where the configuration says cuda_graphs,
/// parallel otherwise.
std::shared_ptr<const RowEvaluator> evaluator_for(const RunConfig& config, at::Device device);

}  // namespace cdm
