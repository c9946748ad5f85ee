// SPDX-License-Identifier: MIT
// From noise to images: the reverse process, step by step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cdm/classifier.h"
#include "cdm/config.h"

namespace cdm {

/// Gives the standard normal draw of step k = 0, 1, ..., shaped like x. Asked once a step, for
/// every step, by samplers that add noise.
using NoiseSource = std::function<at::Tensor(std::int64_t step)>;

/// Called after each step with the number of steps done.
using StepCallback = std::function<void(std::int64_t done)>;

/// The levels visited, from the noisiest to the cleanest: `count` of 1..T.
///   leading:  1, 1+k, 1+2k, ... with k = T / count rounded down (the authors')
///   trailing: T, T-k, T-2k, ... with k = T / count, rounded to the nearest level
///   linspace: `count` levels evenly from 1 to T, rounded to the nearest
/// Throws UserError unless 1 <= count <= T and the spacing is one of these.
std::vector<std::int64_t> sampling_levels(std::int64_t T, std::int64_t count,
                                          const std::string& spacing);

/// Runs config.sampler from x_T [B, C, H, W] down to x_0, which is returned without clamping.
/// The last step returns the prediction of x_0. Labels are int64 [B], or undefined.
at::Tensor sample(const Classifier& classifier, const SampleConfig& config, const at::Tensor& x_T,
                  const at::Tensor& labels, const NoiseSource& noise,
                  const StepCallback& on_step = {});

/// The draws of images first_image .. first_image + B - 1 of a run with this seed: the same for an
/// image whatever batch it is in. `like` gives shape, type and device.
at::Tensor start_noise(std::uint64_t seed, std::int64_t first_image, const at::Tensor& like);
NoiseSource step_noise(std::uint64_t seed, std::int64_t first_image, const at::Tensor& like);

}  // namespace cdm
