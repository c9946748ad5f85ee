// SPDX-License-Identifier: MIT
// The functions that make the objectives of this folder, and helpers that several of them use.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "cdm/diffusion/objective.h"

namespace cdm {

std::unique_ptr<Objective> make_cdm_objective(const LossConfig& config);
std::unique_ptr<Objective> make_nce_objective(const LossConfig& config);
std::unique_ptr<Objective> make_tre_objective(const LossConfig& config);
std::unique_ptr<Objective> make_denoising_objective(const LossConfig& config);

/// The noisy images x_t [B, C, H, W], detached, of rows whose objective drew "t" and "noise".
inline at::Tensor noisy_images(const Model& model, const TrainingRows& rows) {
  return model.schedule().add_noise(rows.x0, rows["t"], rows["noise"]).detach();
}

/// The fraction of true elements in `right` (bool [B]): a float32 scalar.
inline at::Tensor accuracy_of(const at::Tensor& right) { return right.to(at::kFloat).mean(); }

}  // namespace cdm
