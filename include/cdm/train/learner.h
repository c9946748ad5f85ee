// SPDX-License-Identifier: MIT
// A network in training: weights, their moving average, the optimizer, and one step of learning.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/data/batches.h"
#include "cdm/device/parallel.h"
#include "cdm/device/recorded.h"
#include "cdm/diffusion/denoiser.h"
#include "cdm/diffusion/loss.h"
#include "cdm/distributed/gradient_buckets.h"
#include "cdm/distributed/process_group.h"
#include "cdm/model/dropout.h"
#include "cdm/train/optimizer.h"
#include "cdm/train/training_state.h"

namespace cdm {

/// What the network must know, of a configuration whose data.channels and data.image_size are
/// known.
NetworkShape network_shape(const RunConfig& config);

/// What a step learns from: this process's rows of a batch.
struct StepInputs {
  at::Tensor x0;               // [B, C, H, W] in [-1, 1]
  at::Tensor t;                // int64 [B], levels
  at::Tensor noise;            // [B, C, H, W]
  at::Tensor labels;           // int64 [B]; undefined for an unconditional network
  std::int64_t first_row = 0;  // number of row 0 in the batch of all processes together,
  std::int64_t all_rows = 0;   // and rows of that batch; 0 = these B
};

/// Rows first, first + 1, ... of `inputs`, which stay those of the same batch.
StepInputs rows_of(const StepInputs& inputs, std::int64_t first, std::int64_t count);

/// Levels, noise and label dropout of training step `step`, derived from the seed, for images
/// x0 [B, C, H, W] with data labels [B] (ignored where num_classes is 0). They are rows first_row,
/// first_row + 1, ... of a batch of all_rows (0 = B); what is drawn for a row depends on its number
/// there only.
StepInputs draw_inputs(const RunConfig& config, const NoiseSchedule& schedule, std::int64_t step,
                       const at::Tensor& x0, const at::Tensor& labels, std::int64_t first_row = 0,
                       std::int64_t all_rows = 0);

/// The inputs of training step `step`: the share of its batch that this process takes.
StepInputs inputs_of_step(const RunConfig& config, const NoiseSchedule& schedule,
                          BatchStream& batches, std::int64_t step, const Share& share);

struct StepReport {
  LossTerms loss;
  at::Tensor gradient_norm;  // before clipping; scalar
  double learning_rate = 0.0;
  bool left_out = false;  // the weights are as before: loss or gradient is not finite
};

/// A loss and its gradients, in the order of the network's parameters; sums over parts of a batch.
struct LossGradients {
  std::vector<at::Tensor> gradients;
  LossTerms terms;  // all detached

  void add(const LossGradients& other);
};

class Learner {
 public:
  /// One of the learners of `group`, which must outlive it. All of them take each step together,
  /// each with its own rows of the batch, and have the same weights.
  Learner(const RunConfig& config, const NetworkShape& shape, at::Device device,
          at::ScalarType type = at::kFloat, const ProcessGroup& group = ProcessGroup::alone());
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  /// Number of steps taken.
  std::int64_t steps_done() const { return step_; }
  /// How many of them were left out.
  std::int64_t steps_skipped() const { return skipped_; }

  /// One step of gradient descent, reported for the whole batch. Where the loss or the norm of the
  /// gradient is not finite, the step is counted, but left out. A GPU is not waited for to find
  /// that out, unless train.skip_bad_steps asks for it: weights are spoilt then, and the report
  /// shows it.
  StepReport step(const StepInputs& inputs);

  /// The loss of step(), and its gradients, at the present weights.
  LossGradients loss_gradients(const StepInputs& inputs) const;

  /// Has step() compute loss and gradients by a recording (recorded.h) from now on; what follows
  /// them is a few operations on all tensors together. Parts of a batch run as they are. A learner
  /// on a GPU does so by itself where the configuration says cuda_graphs, unless it is one of
  /// several.
  void record_with(MakeRecorder make_recorder);

  /// The model under training, and that of the moving average.
  const Denoiser& model() const { return *model_; }
  const Denoiser& average() const { return *average_; }

  /// Tensors of a checkpoint are those of the learner, not copies.
  TrainingState state() const;
  /// Throws UserError, naming `source`, when the checkpoint does not fit the network.
  void restore(const TrainingState& checkpoint, const std::string& source);
  /// Gives every process of the group the training state of rank 0.
  void share_state();

 private:
  /// The pieces that a batch of `rows` is worked on in.
  std::vector<Piece> pieces_of(std::int64_t rows) const;
  std::uint64_t dropout_seed() const;
  /// One for each piece, which draws its masks as they are asked for.
  std::vector<DropoutMasks> masks_of(const StepInputs& inputs) const;
  /// loss_gradients() with one DropoutMasks for each piece. Depends on nothing that changes from
  /// step to step, but its arguments.
  LossGradients loss_gradients(const StepInputs& inputs, std::vector<DropoutMasks>& masks) const;
  LossGradients recorded_loss_gradients(const StepInputs& inputs);

  RunConfig config_;
  at::Device device_;
  std::shared_ptr<Denoiser> model_, average_;
  Adam adam_;
  const ProcessGroup& group_;
  std::unique_ptr<GradientBuckets> buckets_;                  // null when alone
  std::unique_ptr<Recorded> recorded_;                        // null where nothing is recorded
  std::vector<std::vector<DropoutMasks::Request>> requests_;  // for the recording, of each piece
  std::int64_t requests_rows_ = -1;                           // of a batch of so many rows
  std::int64_t step_ = 0;
  std::int64_t skipped_ = 0;
};

}  // namespace cdm
