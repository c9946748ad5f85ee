// SPDX-License-Identifier: MIT
// What the objectives of classifiers share that also denoise: a loss of the logits, which each of
// them defines, plus the denoising error of the denoiser that follows from the same logits,
//
//   loss of the logits + mse_weight MSE(eps, eps_theta(x_t, t))
//
// eps_theta is the denoiser that Theorem 3.1 computes from the network's input gradient, so the
// gradient of the MSE needs double backpropagation. The MSE is the mean over pixels and rows, in
// which a level may have a weight (mse_weights()), and which may be that of a share of the rows
// (row_share.h). With mse_weight = 0 it is not computed.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "cdm/diffusion/objective.h"
#include "diffusion/objectives/level_draws.h"

namespace cdm {

class LogitsObjective : public Objective {
 public:
  LogitsObjective(const LossConfig& config, const NoiseSchedule& schedule);

  double forward_passes() const final;
  std::vector<std::string> terms() const final;
  NamedTensors draw(const NoiseSchedule& schedule, const RowDraws& draws) const final;
  Loss loss(const Model& model, const TrainingRows& rows, DropoutMasks* masks) const final;

 protected:
  /// A loss of the logits. All are means over the rows.
  struct LogitsLoss {
    at::Tensor total;     // with its weight: a scalar with an autograd graph
    NamedTensors terms;   // detached scalars with the names in logits_terms(), in that order
    at::Tensor accuracy;  // float32 scalar: the fraction of decisions that are right
  };

  /// The loss of logits f [B, K] of noisy images of levels rows["t"]. Row i of f may enter the term
  /// of row i only.
  virtual LogitsLoss loss_of_logits(const at::Tensor& f, const TrainingRows& rows) const = 0;
  virtual std::vector<std::string> logits_terms() const { return {"ce"}; }
  /// Draws more than "t" and "noise", for rows of levels t.
  virtual NamedTensors draw_more(const RowDraws& /*draws*/, const at::Tensor& /*t*/) const {
    return {};
  }

  /// ce_weight times the cross entropy of the levels.
  LogitsLoss cross_entropy(const at::Tensor& f, const at::Tensor& t) const;

  const LossConfig& config() const { return config_; }
  const LevelDraws& level() const { return level_; }

 private:
  struct Evaluated {
    at::Tensor f;                   // the logits of all rows, [B, K]
    at::Tensor x_t, t, f_t, noise;  // the rows to denoise, and their logits
    at::Tensor weight;              // of each of them, [rows]; undefined: 1
  };
  Evaluated evaluate(const Model& model, const TrainingRows& rows, DropoutMasks* masks) const;

  bool denoises() const { return config_.mse_weight > 0.0; }
  bool shares() const { return config_.mse_share < 1.0; }

  LossConfig config_;
  LevelDraws level_;
  at::Tensor mse_weights_;  // [K]; undefined: all are 1
};

}  // namespace cdm
