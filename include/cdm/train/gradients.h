// SPDX-License-Identifier: MIT
// Loss and gradients of a training step, in three layers:
//
//   1. loss_gradients(): the loss of some rows (images) and its gradients. A pure function.
//   2. BatchGradients: cuts a batch into parts for threads, micro-batches and processes, calls
//      layer 1 for each part, and sums the results.
//   3. BatchGradients::record_with(): layer 1 is recorded once, as a CUDA graph, and then replayed.
//      (Where the whole step can be recorded, Learner does that instead.)
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cdm/device/parallel.h"
#include "cdm/device/recorded.h"
#include "cdm/diffusion/objective.h"
#include "cdm/distributed/gradient_buckets.h"
#include "cdm/distributed/process_group.h"
#include "cdm/train/step_inputs.h"

namespace cdm {

/// A loss and its gradients.
struct LossGradients {
  NamedTensors terms;                 // detached scalars: "loss", then those of Objective::terms()
  std::vector<at::Tensor> gradients;  // of the loss, in the order of the network's parameters

  /// The term with that name.
  at::Tensor operator[](std::string_view name) const { return tensor_named(terms, name); }
};

/// The mean loss of `rows`, its terms and its gradients, all multiplied by `weight`: a scalar
/// tensor of the loss's type, the number of rows divided by that of the batch.
LossGradients loss_gradients(const Model& model, const Objective& objective,
                             const TrainingRows& rows, const at::Tensor& weight,
                             DropoutMasks* masks);

/// Loss and gradients of whole batches. The model, the objective and the process group must outlive
/// this object.
class BatchGradients {
 public:
  /// A thread evaluates at most `micro_batch_size` rows at a time (0 = no limit). Each process of
  /// `group` evaluates its own rows of a batch; loss and gradients are summed over the processes.
  BatchGradients(const Model& model, const Objective& objective, std::int64_t micro_batch_size,
                 const ProcessGroup& group);
  BatchGradients(const BatchGradients&) = delete;
  BatchGradients& operator=(const BatchGradients&) = delete;

  /// Mean loss and gradients of the whole batch, over all processes. `inputs` are this process's
  /// rows of it. Dropout masks are drawn from `dropout_seed`. The returned gradients are valid
  /// until the next call; the terms remain valid.
  LossGradients operator()(const StepInputs& inputs, std::uint64_t dropout_seed);

  /// The same for inputs that are evaluated at once, by layer 1 and without a recording of their
  /// own. `dropout` identifies the dropout masks, as DropoutMasks takes it.
  LossGradients at_once(const StepInputs& inputs, const at::Tensor& dropout) const;
  /// Whether a batch of so many rows on `device` is evaluated at once: neither cut into parts nor
  /// shared with other processes.
  bool takes_at_once(std::int64_t rows, at::Device device) const;

  /// From now on, layer 1 is recorded and replayed (device/recorded.h), once for each of the at
  /// most two numbers of rows that a batch is cut into. Steps whose rows are divided among several
  /// threads are not recorded.
  void record_with(MakeRecorder make_recorder);

 private:
  LossGradients of_rows(const StepInputs& rows, std::uint64_t dropout_seed, bool may_replay);
  LossGradients replayed(Recorded& recorded, const StepInputs& rows, std::uint64_t dropout_seed);
  /// The recording for parts of `rows` rows; null where there is none.
  Recorded* recording_of(std::int64_t rows);

  const Model& model_;
  const Objective& objective_;
  std::int64_t micro_batch_size_;
  std::vector<std::string> names_;             // of the terms
  std::vector<std::string> drawn_names_;       // of what the objective draws; for a recording
  std::unique_ptr<GradientBuckets> buckets_;   // null for a single process
  MakeRecorder make_recorder_;                 // null without record_with()
  std::map<std::int64_t, Recorded> recorded_;  // by the number of rows
};

}  // namespace cdm
