// SPDX-License-Identifier: MIT
// A diffusion model: a network, the noise schedule that it was made for, and a density where it has
// one. Samplers ask for predict_noise; whatever needs log p_t asks density().
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

#include "cdm/diffusion/density.h"
#include "cdm/diffusion/row_function.h"
#include "cdm/diffusion/schedule.h"
#include "cdm/model/network.h"

namespace cdm {

/// Shapes and types are those of density.h. Copies share the network.
class Model {
 public:
  /// The network is on its device and in its type by now. A null evaluator calls the network as it
  /// is, on the whole batch.
  Model(std::shared_ptr<Network> network, NoiseSchedule schedule,
        std::shared_ptr<const RowEvaluator> evaluate = nullptr);

  /// The same network, evaluated in another way.
  Model with_evaluator(std::shared_ptr<const RowEvaluator> evaluate) const;

  const NoiseSchedule& schedule() const { return schedule_; }
  Network& network() const { return *network_; }

  /// The noise eps in x at level t, [B, C, H, W], without a graph. With guidance w, (1 + w)
  /// eps(x, t, labels) - w eps(x, t, null class). A classifier needs a forward and a backward pass
  /// for it, a plain denoiser a forward pass; guidance doubles either.
  at::Tensor predict_noise(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels = {},
                           double guidance = 0.0) const;

  /// Whether the network predicts logits, so that it has a density.
  bool has_density() const { return density_.has_value(); }

  /// Throws UserError when there is none.
  const Density& density() const;

 private:
  std::shared_ptr<Network> network_;
  NoiseSchedule schedule_;
  std::shared_ptr<const RowEvaluator> evaluate_;
  std::optional<Density> density_;
};

}  // namespace cdm
