// SPDX-License-Identifier: MIT
// From noise to images: the reverse process, step by step.
//
// Every sampler is written for levels x_t = signal_t x_0 + sigma_t eps of any schedule. With the
// model's eps and its x_0 = (x_t - sigma_t eps) / signal_t, lambda = log(signal / sigma), a step
// goes from level t to s < t:
//
//   ddpm              mean and variance of q(x_s | x_t, x_0), also between levels further apart
//                     than one (Ho et al., 2020, equation 7)
//   ddim              signal_s x_0 + sqrt(sigma_s^2 - v) eps + sqrt(v) z, v = eta^2 times the
//                     variance of ddpm (Song et al., 2021)
//   euler             a step of dx = x_0 d signal + eps d sigma, the probability flow; for flow
//                     matching it is x_t + (s - t) v of the velocity v = (eps - x_t) / (T - t). The
//                     same as ddim with eta = 0
//   heun              the same flow by the trapezoidal rule, second order: two evaluations a step,
//                     one in the last (Karras et al., 2022, do so in another variable)
//   dpm_solver_2      multistep, second order, in eps (Lu et al., 2022, as the paper gives it)
//   dpm_solver_pp_2m  multistep, second order, in x_0 (Lu et al., 2022b)
//
// The last step of each, to level 0, returns the prediction of x_0.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/diffusion/denoiser.h"

namespace cdm {

/// Gives the standard normal draw of step k = 0, 1, ..., shaped like x. Asked once a step, for
/// every step, by samplers that add noise.
using NoiseSource = std::function<at::Tensor(std::int64_t step)>;

/// A step as it was taken.
struct SampleStep {
  std::int64_t done;  // steps so far, this one included
  at::Tensor from;    // [B, C, H, W], at the level it began at,
  at::Tensor x0;      // the prediction of x_0 there,
  at::Tensor x;       // and the image at the level it led to
};
using StepCallback = std::function<void(const SampleStep&)>;

/// The levels visited, from the noisiest to the cleanest: `count` of 1..T.
///   leading:  1, 1+k, 1+2k, ... with k = T / count rounded down (the authors')
///   trailing: T, T-k, T-2k, ... with k = T / count, rounded to the nearest level
///   linspace: `count` levels evenly from 1 to T, rounded to the nearest
/// Throws UserError unless 1 <= count <= T and the spacing is one of these.
std::vector<std::int64_t> sampling_levels(std::int64_t T, std::int64_t count, Spacing spacing);

/// Whether the sampler draws noise in its steps.
bool draws_noise(const SampleConfig& config);

/// Throws UserError when a model with this schedule cannot be sampled so: a sampler or a spacing
/// that does not exist, more steps than levels, a schedule with nothing between data and noise.
void check_sampling(const NoiseSchedule& schedule, const SampleConfig& config);

/// Runs config.sampler from x_T [B, C, H, W] down to x_0, which is returned without clamping.
/// Labels are int64 [B], or undefined. Throws as check_sampling does.
at::Tensor sample(const Denoiser& model, const SampleConfig& config, const at::Tensor& x_T,
                  const at::Tensor& labels, const NoiseSource& noise,
                  const StepCallback& on_step = {});

/// The draws of images first_image .. first_image + B - 1 of a run with this seed: the same for an
/// image whatever batch it is in. `like` gives shape, type and device.
at::Tensor start_noise(std::uint64_t seed, std::int64_t first_image, const at::Tensor& like);
NoiseSource step_noise(std::uint64_t seed, std::int64_t first_image, const at::Tensor& like);

}  // namespace cdm
