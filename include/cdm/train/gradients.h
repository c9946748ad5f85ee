// SPDX-License-Identifier: MIT
// Loss and gradients of a training step, in three layers:
//
//   1. loss_gradients(): the loss of some rows and its gradients. A pure function.
//   2. BatchGradients: shares a batch out among threads, micro-batches and processes, and adds up
//      what layer 1 returns for the parts.
//   3. BatchGradients::record_with(): layer 1 is recorded once and replayed from then on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
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
  NamedTensors terms;                 // scalars: "loss", then Objective::terms(); detached
  std::vector<at::Tensor> gradients;  // of the loss, in the order of the network's parameters

  /// The term of that name.
  const at::Tensor& operator[](const std::string& name) const;
};

/// weight times the mean loss of `rows`, its terms (times weight), and its gradients. `weight` is a
/// scalar tensor of the loss's type: the share of `rows` in a batch.
LossGradients loss_gradients(const Model& model, const Objective& objective,
                             const TrainingRows& rows, const at::Tensor& weight,
                             DropoutMasks* masks);

/// Loss and gradients of whole batches. The model and the objective must outlive it.
class BatchGradients {
 public:
  /// No more than `micro_batch_size` rows at a time go through the network (0 = no limit). Processes
  /// of `group`, which must outlive this object too, each take their own rows of a batch; loss and
  /// gradients are summed over them.
  BatchGradients(const Model& model, const Objective& objective, std::int64_t micro_batch_size,
                 const ProcessGroup& group);

  /// The mean over all rows of the batch that `inputs` are rows of, with dropout masks drawn from
  /// `dropout_seed`. Gradients are good until the next call, terms for ever.
  LossGradients operator()(const StepInputs& inputs, std::uint64_t dropout_seed);

  /// Records layer 1 from now on, where rows are worked on by one thread.
  void record_with(MakeRecorder make_recorder);

 private:
  LossGradients of_rows(const StepInputs& rows, std::uint64_t dropout_seed, bool may_replay);
  LossGradients replayed(const StepInputs& rows, std::uint64_t dropout_seed);

  const Model& model_;
  const Objective& objective_;
  std::int64_t micro_batch_size_;
  std::vector<std::string> names_;            // of the terms
  std::vector<std::string> drawn_names_;      // of what the objective draws, once recorded
  std::unique_ptr<GradientBuckets> buckets_;  // null where there is one process
  std::unique_ptr<Recorded> recorded_;        // null where nothing is recorded
};

}  // namespace cdm
