// SPDX-License-Identifier: MIT
// The functions that make the objectives of this folder, and helpers that several of them use.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "cdm/diffusion/objective.h"

namespace cdm {

std::unique_ptr<Objective> make_cdm_objective(const LossConfig& config,
                                              const NoiseSchedule& schedule);
std::unique_ptr<Objective> make_nce_objective(const LossConfig& config,
                                              const NoiseSchedule& schedule);
std::unique_ptr<Objective> make_tre_objective(const LossConfig& config,
                                              const NoiseSchedule& schedule);
std::unique_ptr<Objective> make_subset_objective(const LossConfig& config,
                                                 const NoiseSchedule& schedule);
std::unique_ptr<Objective> make_pairs_objective(const LossConfig& config,
                                                const NoiseSchedule& schedule);
std::unique_ptr<Objective> make_time_score_objective(const LossConfig& config,
                                                     const NoiseSchedule& schedule);
std::unique_ptr<Objective> make_denoising_objective(const LossConfig& config,
                                                    const NoiseSchedule& schedule);

/// The noisy images x_t [B, C, H, W], detached, of rows whose objective drew "t" and "noise".
inline at::Tensor noisy_images(const Model& model, const TrainingRows& rows) {
  return model.schedule().add_noise(rows.x0, rows["t"], rows["noise"]).detach();
}

/// The mean squared error per pixel of predicted noise eps [n, C, H, W], over the rows of a batch.
class MeanSquaredError {
 public:
  /// `level_weights` [K] are those of levels, of which row i has t[i]. `row_weights` [n] multiply
  /// the terms of rows. Undefined weights are 1. The sum over the n rows is divided by `rows`.
  MeanSquaredError(const at::Tensor& eps, const at::Tensor& noise, const at::Tensor& t,
                   const at::Tensor& level_weights, const at::Tensor& row_weights,
                   std::int64_t rows);

  /// The error with the levels' weights: a scalar with an autograd graph.
  const at::Tensor& weighted() const { return weighted_; }
  /// The terms that are reported: "mse", without the levels' weights, and "weighted_mse" if there
  /// are such weights.
  NamedTensors terms() const;
  static std::vector<std::string> names(bool has_level_weights);

 private:
  at::Tensor plain_, weighted_;
  bool has_level_weights_;
};

/// The fraction of true elements in `right` (bool [B]): a float32 scalar.
inline at::Tensor accuracy_of(const at::Tensor& right) { return right.to(at::kFloat).mean(); }

}  // namespace cdm
