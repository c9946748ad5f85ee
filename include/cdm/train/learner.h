// SPDX-License-Identifier: MIT
// A model in training: weights, their moving average, the optimizer, and one step of learning.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "cdm/config/config.h"
#include "cdm/device/recorded.h"
#include "cdm/diffusion/model.h"
#include "cdm/diffusion/objective.h"
#include "cdm/distributed/process_group.h"
#include "cdm/train/gradients.h"
#include "cdm/train/optimizer.h"
#include "cdm/train/step_inputs.h"
#include "cdm/train/training_state.h"

namespace cdm {

/// What a step was like. Tensors are scalars on the learner's device: reading them waits for it.
struct StepReport {
  NamedTensors terms;        // "loss", then Objective::terms(), means over the whole batch
  at::Tensor gradient_norm;  // before clipping
  at::Tensor skipped;        // float32: 1 where the step changed nothing, because the loss or the
                             // gradient norm was NaN or infinite; 0 otherwise
  double learning_rate = 0.0;

  /// The term of that name.
  const at::Tensor& operator[](const std::string& name) const;
};

class Learner {
 public:
  /// One of the learners of `group`, which must outlive it. All of them take each step together,
  /// each with its own rows of the batch, and have the same weights.
  Learner(const RunConfig& config, const NetworkShape& shape, at::Device device,
          at::ScalarType type = at::kFloat, const ProcessGroup& group = ProcessGroup::alone());
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  /// The number of steps taken, skipped ones included.
  std::int64_t steps_done() const { return step_; }
  /// How many of them were skipped. Waits for the device.
  std::int64_t steps_skipped() const { return skipped_.item<std::int64_t>(); }

  /// One step of gradient descent. Where the loss or the norm of the gradient is not finite, the
  /// step is counted, but weights, moments and average stay as they are. That is decided on the
  /// device, so a GPU is not waited for.
  StepReport step(const StepInputs& inputs);

  /// The loss of step(), and its gradients, at the present weights.
  LossGradients loss_gradients(const StepInputs& inputs);

  /// Has step() replay a recording of loss and gradients from now on (device/recorded.h). A learner
  /// on a GPU does so by itself where the configuration says cuda_graphs, unless it is one of
  /// several.
  void record_with(MakeRecorder make_recorder) { gradients_.record_with(std::move(make_recorder)); }

  /// The model under training, and the same network with the moving average of its weights.
  const Model& model() const { return model_; }
  const Model& average() const { return average_; }
  const Objective& objective() const { return *objective_; }

  /// Tensors of the state are those of the learner, not copies. Waits for the device.
  TrainingState state() const;
  /// Throws UserError, naming `source`, when the state does not fit the network.
  void restore(const TrainingState& state, const std::string& source);
  /// Gives every process of the group the training state of rank 0.
  void share_state();

 private:
  std::uint64_t dropout_seed() const;

  RunConfig config_;
  Model model_, average_;
  std::unique_ptr<Objective> objective_;
  Adam adam_;
  const ProcessGroup& group_;
  BatchGradients gradients_;
  std::int64_t step_ = 0;
  at::Tensor skipped_;  // int64 scalar on the device
};

}  // namespace cdm
