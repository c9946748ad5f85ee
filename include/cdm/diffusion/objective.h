// SPDX-License-Identifier: MIT
// What training minimises. An objective is one class in one file of src/diffusion/objectives/; to
// add one, write the file, and name it in make_objective() and in ObjectiveKind.
//
// The contract. A loss is the mean over the rows of a batch of a term that depends on that row
// alone. A batch may therefore be cut into parts whose losses and gradients are averaged, weighted
// by their rows: threads, micro-batches and processes rely on it. A loss that mixes rows (batch
// statistics, pairs within the batch) breaks it; a test permutes and cuts batches for every kind.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"
#include "cdm/device/random.h"
#include "cdm/diffusion/model.h"

namespace cdm {

/// The random numbers of the rows first_row, first_row + 1, ... of one training step's batch. What
/// a row gets depends on (seed, step, its number) only, not on how the batch is cut.
class RowDraws {
 public:
  /// `rows` [B, C, H, W] gives the number of rows, the shape of images, their type and device.
  RowDraws(std::uint64_t seed, std::int64_t step, std::int64_t first_row, const at::Tensor& rows);

  /// Uniform integers low .. low + count - 1, int64 [B].
  at::Tensor integers(Purpose purpose, std::int64_t low, std::int64_t count) const;
  /// Standard normal numbers, [B, C, H, W].
  at::Tensor normal(Purpose purpose) const;
  /// Uniform numbers in [0, 1), float32 [B].
  at::Tensor uniform(Purpose purpose) const;

 private:
  RandomStream stream(Purpose purpose) const;

  std::uint64_t seed_;
  std::int64_t step_, first_row_;
  at::Tensor like_;
};

/// The rows that a loss is computed on.
struct TrainingRows {
  at::Tensor x0;       // images [B, C, H, W] in the model's scale
  at::Tensor labels;   // int64 [B]; undefined for an unconditional network
  NamedTensors drawn;  // what Objective::draw() returned, one row per image each

  /// The drawn tensor of that name.
  const at::Tensor& operator[](const std::string& name) const;
};

/// A loss and what it is made of.
struct Loss {
  at::Tensor total;    // what is minimised: a scalar with a graph
  NamedTensors terms;  // detached scalars under the names of Objective::terms(), in that order
};

class Objective {
 public:
  virtual ~Objective() = default;

  /// The names of the terms that are reported beside the loss itself.
  virtual std::vector<std::string> terms() const = 0;

  /// What each row of a step needs besides its image and label: levels "t" int64 [B], "noise"
  /// [B, C, H, W], or whatever else, under names of the objective's choice.
  virtual NamedTensors draw(const NoiseSchedule& schedule, const RowDraws& draws) const = 0;

  /// The mean over the rows, with dropout where `masks` are given.
  virtual Loss loss(const Model& model, const TrainingRows& rows, DropoutMasks* masks) const = 0;

  /// What a training step costs, in forward passes of the network: 3 for a loss of its output
  /// (forward, and a backward pass of twice the work), 6 where the loss is of its input gradient.
  virtual double forward_passes() const = 0;
};

std::unique_ptr<Objective> make_objective(const LossConfig& config);

}  // namespace cdm
