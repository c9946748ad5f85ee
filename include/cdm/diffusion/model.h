// SPDX-License-Identifier: MIT
// A diffusion model: a network, the noise schedule that it was made for, and a density if the
// network predicts logits. Samplers call predict_noise(); code that needs log p_t calls density().
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

#include "cdm/diffusion/density.h"
#include "cdm/diffusion/row_function.h"
#include "cdm/diffusion/schedule.h"
#include "cdm/model/network.h"

namespace cdm {

/// Shapes and types are those given in density.h. Copies of a model share the network.
class Model {
 public:
  /// The network must already be on its device and have its type. `evaluate` says how the network
  /// is evaluated on a batch; when it is null, the network is called on the whole batch.
  Model(std::shared_ptr<Network> network, NoiseSchedule schedule,
        std::shared_ptr<const RowEvaluator> evaluate = nullptr);

  /// A model with the same network and another evaluator.
  Model with_evaluator(std::shared_ptr<const RowEvaluator> evaluate) const;

  const NoiseSchedule& schedule() const { return schedule_; }
  Network& network() const { return *network_; }

  /// The noise eps(x, t) in images x of level t: [B, C, H, W], detached. With guidance w, it is
  /// (1 + w) eps(x, t, labels) - w eps(x, t, null class). A classifier needs a forward and a
  /// backward pass, a plain denoiser one forward pass; guidance doubles both.
  at::Tensor predict_noise(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels = {},
                           double guidance = 0.0) const;

  /// Whether the model has a density: its network predicts logits.
  bool has_density() const { return density_.has_value(); }

  /// Throws UserError when the model has no density.
  const Density& density() const;

 private:
  std::shared_ptr<Network> network_;
  NoiseSchedule schedule_;
  std::shared_ptr<const RowEvaluator> evaluate_;
  std::optional<Density> density_;
};

}  // namespace cdm
