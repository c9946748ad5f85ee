// SPDX-License-Identifier: MIT
// From noise to images: takes a batch through the levels, step by step, with any sampler.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/diffusion/model.h"
#include "cdm/sample/sampler.h"

namespace cdm {

/// A step as it was taken.
struct SampleStep {
  std::int64_t done;         // steps so far, this one included
  at::Tensor from;           // [B, C, H, W], at the level it began at,
  at::Tensor x0;             // the prediction of x_0 there,
  at::Tensor x;              // and the image at the level it led to
  std::int64_t evaluations;  // of the network so far, for each image
};
using StepCallback = std::function<void(const SampleStep&)>;

/// The levels visited, from the noisiest to the cleanest: `count` of 1..T.
///   leading:  1, 1+k, 1+2k, ... with k = T / count rounded down (the authors')
///   trailing: T, T-k, T-2k, ... with k = T / count, rounded to the nearest level
///   linspace: `count` levels evenly from 1 to T, rounded to the nearest; T when count is 1
/// Throws UserError unless 1 <= count <= T.
std::vector<std::int64_t> sampling_levels(std::int64_t T, std::int64_t count, Spacing spacing);

/// Throws UserError when a model cannot be sampled so: more steps than levels, a schedule with
/// nothing between data and noise, a sampler that needs a density for a network that predicts
/// noise.
void check_sampling(const NoiseSchedule& schedule, Prediction predicts, const SampleConfig& config);

/// How many times the network is evaluated for each image in a run with these settings. With
/// guidance, each time is twice the work.
std::int64_t evaluations_per_image(const SampleConfig& config);

/// Takes x_T [B, C, H, W] down to x_0, which is returned without clamping. Labels are int64 [B], or
/// undefined. Throws as check_sampling does.
at::Tensor sample(const Model& model, const SampleConfig& config, const at::Tensor& x_T,
                  const at::Tensor& labels, const SampleDraws& draws,
                  const StepCallback& on_step = {});

/// The same with a sampler of one's own, made for this batch. config.sampler and config.eta are not
/// used.
at::Tensor sample(const Model& model, Sampler& sampler, const SampleConfig& config,
                  const at::Tensor& x_T, const at::Tensor& labels, const SampleDraws& draws,
                  const StepCallback& on_step = {});

/// x_T of images first_image .. first_image + B - 1 of a run with this seed: the same for an image
/// whatever batch it is in. `like` gives shape, type and device.
at::Tensor start_noise(std::uint64_t seed, std::int64_t first_image, const at::Tensor& like);

}  // namespace cdm
