// SPDX-License-Identifier: MIT
// Sampling: takes a batch of noise down through the levels to images, step by step, with any
// sampler.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/diffusion/model.h"
#include "cdm/sample/sampler.h"

namespace cdm {

/// One step, after it was taken. Tensors are [B, C, H, W].
struct SampleStep {
  std::int64_t done;         // number of steps taken, this one included
  at::Tensor from;           // the images before the step
  at::Tensor x0;             // the prediction of x_0 made from them
  at::Tensor x;              // the images after the step
  std::int64_t evaluations;  // network evaluations per image so far
};
using StepCallback = std::function<void(const SampleStep&)>;

/// The `count` levels in 1..T that sampling visits, from the noisiest to the cleanest:
///   leading:  1, 1+k, 1+2k, ... with k = T / count, rounded down to a level; the levels of the
///             authors' code where count divides T
///   trailing: T, T-k, T-2k, ... with k = T / count, rounded to the nearest level
///   linspace: evenly spaced from 1 to T, rounded to the nearest level; T when count is 1
/// Throws UserError unless 1 <= count <= T.
std::vector<std::int64_t> sampling_levels(std::int64_t T, std::int64_t count, Spacing spacing);

/// Throws UserError when a model cannot be sampled with these settings: more steps than
/// schedule.steps(), a schedule without levels between data and noise, or a sampler that needs a
/// density with a network that predicts noise.
void check_sampling(const NoiseSchedule& schedule, Prediction predicts, const SampleConfig& config);

/// A warning for the user when sampling starts at a level that still holds an image, that is, when
/// (signal / sigma)^2 is above 0.05 at the first of the levels in sampling_levels(); otherwise
/// empty. Sampling starts from pure noise. The model has never seen pure noise at such a level, so
/// the images come out wrong. Too few steps are a reason, or a noise schedule that ends too early.
std::string warning_of_start(const NoiseSchedule& schedule, const SampleConfig& config);

/// The number of network evaluations per image with these settings. With guidance, each of them is
/// twice the work.
std::int64_t evaluations_per_image(const SampleConfig& config);

/// Samples with config.sampler: from noise x_T [B, C, H, W] to images x_0 [B, C, H, W], which are
/// not clamped. Labels are int64 [B], or undefined for no class. Throws UserError as
/// check_sampling() does.
at::Tensor sample(const Model& model, const SampleConfig& config, const at::Tensor& x_T,
                  const at::Tensor& labels, const SampleDraws& draws,
                  const StepCallback& on_step = {});

/// The same with the sampler `sampler`, which must have been made for this batch. config.sampler
/// and config.eta are not used.
at::Tensor sample(const Model& model, Sampler& sampler, const SampleConfig& config,
                  const at::Tensor& x_T, const at::Tensor& labels, const SampleDraws& draws,
                  const StepCallback& on_step = {});

/// x_T of images first_image .. first_image + B - 1 of a seed: standard normal numbers that do not
/// depend on how images are cut into batches. `like`, [B, C, H, W], gives shape, type and device.
at::Tensor start_noise(std::uint64_t seed, std::int64_t first_image, const at::Tensor& like);

}  // namespace cdm
