// SPDX-License-Identifier: MIT
// The loss that training minimises. An objective is one class in one file of
// src/diffusion/objectives/. To add one, write the file, and name it in make_objective() and in
// ObjectiveKind.
//
// The contract: the loss of a batch is the mean over its rows (images) of a term that depends on
// that row alone. So a batch may be cut into parts, and the average of the parts' losses and
// gradients, weighted by their numbers of rows, is that of the batch. Threads, micro-batches and
// processes rely on this. A loss that mixes rows (batch statistics, pairs within a batch) breaks
// the contract; a test permutes and cuts batches for every objective.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"
#include "cdm/device/random.h"
#include "cdm/diffusion/model.h"

namespace cdm {

/// The random numbers of rows first_row, first_row + 1, ... of one training step's batch. A row's
/// numbers depend only on (seed, step, purpose, number of the row), not on how the batch is cut.
class RowDraws {
 public:
  /// `rows`, [B, C, H, W], gives the number of rows, the shape of an image, its type and device.
  /// Its values are not used. `batch_rows` is the number of rows in the whole batch of the step,
  /// over all processes; 0 = these rows are all.
  RowDraws(std::uint64_t seed, StreamIndex step, std::int64_t first_row, const at::Tensor& rows,
           std::int64_t batch_rows = 0);

  /// Integers uniform in low .. low + count - 1, int64 [B].
  at::Tensor integers(Purpose purpose, std::int64_t low, std::int64_t count) const;
  /// Standard normal numbers, [B, C, H, W].
  at::Tensor normal(Purpose purpose) const;
  /// Uniform numbers in [0, 1), float32 [B].
  at::Tensor uniform(Purpose purpose) const;
  /// `count` uniform numbers in [0, 1) for each row, float32 [B, count].
  at::Tensor uniform(Purpose purpose, std::int64_t count) const;
  /// Uniform numbers in [0, 1) that are spread evenly over the batch, float64 [B]. The n numbers of
  /// a whole batch lie at distances 1/n, all shifted by one random number (as Kingma et al., 2021,
  /// draw times). Taken by itself, the number of a row is uniform. Neighbouring rows are far apart,
  /// so that the rows of a part of the batch are spread evenly, too.
  at::Tensor spread(Purpose purpose) const;

  /// The numbers of the rows in the batch: int64 [B].
  at::Tensor numbers() const;

  at::Device device() const { return like_.device(); }

 private:
  RandomStream stream(Purpose purpose) const;

  std::uint64_t seed_;
  StreamIndex step_;
  std::int64_t first_row_, batch_rows_;
  at::Tensor like_;
};

/// The rows (images) that a loss is computed on.
struct TrainingRows {
  at::Tensor x0;         // images [B, C, H, W] in the model's scale
  at::Tensor labels;     // int64 [B]; undefined for an unconditional network
  NamedTensors drawn;    // what Objective::draw() returned for these rows; dimension 0 is B in each
  at::Tensor told = {};  // how the images were augmented (Condition::told); undefined if not told

  /// What the network is told about the images.
  Condition condition() const { return {labels, told}; }

  /// The drawn tensor with that name.
  at::Tensor operator[](std::string_view name) const { return tensor_named(drawn, name); }
};

/// A loss and its terms.
struct Loss {
  at::Tensor total;    // the loss that is minimised: a scalar with an autograd graph
  NamedTensors terms;  // detached scalars with the names in Objective::terms(), in that order
};

class Objective {
 public:
  virtual ~Objective() = default;

  /// The names of the terms that are reported besides the loss itself.
  virtual std::vector<std::string> terms() const = 0;

  /// Draws the random inputs of each row of a step, with names that the objective chooses: for
  /// example levels "t", int64 [B], and "noise", [B, C, H, W]. The schedule has the levels of the
  /// one that the objective was made for.
  virtual NamedTensors draw(const NoiseSchedule& schedule, const RowDraws& draws) const = 0;

  /// The mean loss of the rows. Dropout acts only where `masks` are given.
  virtual Loss loss(const Model& model, const TrainingRows& rows, DropoutMasks* masks) const = 0;

  /// The cost of a training step in forward passes of the network. It is 3 for a loss of the
  /// network's output: the forward pass, and a backward pass of twice the work. It is 6 for a loss
  /// of the network's input gradient.
  virtual double forward_passes() const = 0;
};

/// The objective that config.kind names, for models with that schedule. What it keeps of the levels
/// lies where the schedule's tables lie.
std::unique_ptr<Objective> make_objective(const LossConfig& config, const NoiseSchedule& schedule);

}  // namespace cdm
