// SPDX-License-Identifier: MIT
// A model in training: its weights, their moving averages, the optimizer, and the training step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

class FusedUpdate;

/// Draws the inputs of the step whose number is `step`: a number, or one on the device. Then all
/// that depends on the step must be computed on the device, from its memory.
using DrawInputs = std::function<StepInputs(const StreamIndex& step)>;

/// The numbers of one step. Tensors are scalars on the learner's device: reading them waits for the
/// device.
struct StepReport {
  NamedTensors terms;        // "loss", then Objective::terms(): means over the whole batch
  at::Tensor gradient_norm;  // norm of all gradients together, before clipping
  at::Tensor skipped;        // 1 when the step changed nothing, because the loss or the
                             // gradient norm was NaN or infinite; 0 otherwise
  double learning_rate = 0.0;

  /// The term with that name.
  at::Tensor operator[](std::string_view name) const { return tensor_named(terms, name); }
};

class Learner {
 public:
  /// Makes the model that `config` describes, with initial weights derived from config.seed. Each
  /// process of `group`, which must outlive the learner, has one learner. They take every step
  /// together, each with its own rows of the batch, and keep the same weights. Throws UserError as
  /// make_training_model() does.
  Learner(const RunConfig& config, const NetworkShape& shape, at::Device device,
          at::ScalarType type = at::kFloat, const ProcessGroup& group = ProcessGroup::alone());
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;
  ~Learner();

  /// The number of steps taken, skipped ones included.
  std::int64_t steps_done() const { return step_; }
  /// The number of skipped steps among them. Waits for the device.
  std::int64_t steps_skipped() const { return counts_[1].item<std::int64_t>(); }

  /// Says that the share `share` (0 .. 1) of the run's time, train.max_minutes, has passed. Steps
  /// use it from now on (learning_rate_at()). 0 until the first call. Does not wait for the device.
  void set_time_used(double share);
  double time_used() const { return time_used_; }

  /// One step of gradient descent. When the loss or the gradient norm is NaN or infinite, the step
  /// is skipped: it is counted, but weights, moments and moving averages do not change.
  /// The device decides this, so the host does not wait for a GPU.
  StepReport step(const StepInputs& inputs);

  /// Gives the statistics to the anchors of both models: needed before the first step of a run with
  /// config.model.anchor, unless restore() does it. Throws UserError as Anchor::load() does.
  void set_anchor(const NamedTensors& statistics);

  /// From now on, step() without arguments takes its inputs from `draw`: batches of
  /// config.train.batch_size rows, or this process's rows of them. `by_device` says whether `draw`
  /// takes numbers on the device.
  void take_inputs_from(DrawInputs draw, bool by_device = true);

  /// One step with the inputs draw(steps_done()). After record_with(), the whole step is one
  /// recording, draws and update included: nothing is copied from the host, and the host does not
  /// wait. It needs a batch that is evaluated at once by a single process, and on a GPU
  /// use_fused_update(); otherwise, or when the recording fails, it is step(inputs) of these
  /// inputs.
  StepReport step();

  /// The loss and the gradients that step(inputs) would compute, at the current weights. The
  /// gradients are valid until the next call of this function or of step().
  LossGradients loss_gradients(const StepInputs& inputs);

  /// From now on, steps are recorded and replayed (device/recorded.h): step() as a whole, and
  /// step(inputs) up to loss and gradients. The constructor calls this on a GPU when
  /// use_cuda_graphs(config.cuda_graphs, device), if there is only one process.
  void record_with(MakeRecorder make_recorder);

  /// Frees the memory that recordings keep for their replays, those of average() included. Later
  /// steps are recorded again. Returns false when nothing is recorded.
  bool forget_recordings();

  /// From now on, clipping, Adam, averages and counts are one fused pass
  /// (src/train/fused_update.h). The constructor calls this on a GPU with own_cuda_kernels.
  void use_fused_update();

  /// The model in training, and a model whose weights are the first moving average of its weights.
  const Model& model() const { return model_; }
  const Model& average() const { return average_; }
  const Objective& objective() const { return *objective_; }

  /// The training state. Its tensors are the learner's own, not copies. Waits for the device.
  TrainingState state() const;
  /// Throws UserError, naming `source`, when the state does not fit the network.
  void restore(const TrainingState& state, const std::string& source);
  /// Copies the training state of rank 0 to all processes of the group, which must all call it.
  void share_state();

 private:
  std::uint64_t dropout_seed() const;
  /// All of a step whose number is in counts_: the terms, the gradient norm and whether it was
  /// skipped, float64 [terms + 2].
  at::Tensor whole_step();
  bool records_whole_step() const;
  /// Clipping, optimizer and averages, and the counts on the device.
  StepReport update(const LossGradients& loss);

  RunConfig config_;
  Model model_, average_;
  std::unique_ptr<Objective> objective_;
  Optimizer optimizer_;
  std::vector<NamedTensors> more_averages_;  // those beyond the first
  const ProcessGroup& group_;
  BatchGradients gradients_;
  DrawInputs draw_;  // empty without take_inputs_from()
  bool draws_by_device_ = false;
  MakeRecorder make_recorder_;          // null without record_with()
  std::optional<Recorded> whole_;       // whole_step(); empty without record_with()
  std::unique_ptr<FusedUpdate> fused_;  // null: ATen's operations
  std::int64_t step_ = 0;
  // int64 [2] on the device: steps taken, which the host knows as step_, and steps skipped.
  at::Tensor counts_;
  // The share of the run's time that has passed, and the same on the device: a float64 scalar.
  double time_used_ = 0.0;
  at::Tensor time_used_there_;
};

}  // namespace cdm
