// SPDX-License-Identifier: MIT
// The interface of samplers: transitions from one noise level to a cleaner one, with a memory.
//
// A sampler is an object made for one batch. Its step() is called once per step, from the noisiest
// level to level 0, and may keep in members what later steps need. Everything else that a step may
// use (the model's prediction, its density, random numbers) comes from the step's SampleContext.
//
// Samplers are written for the levels x_t = signal_t x_0 + sigma_t eps of any schedule. Each is one
// file of src/sample/samplers/. To add one: write its file, and name it in samplers.h there, in
// make_sampler() and in SamplerKind.
#pragma once

#include <ATen/core/Tensor.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "cdm/config/config.h"
#include "cdm/diffusion/model.h"

namespace cdm {

/// A noise level: x = signal x_0 + sigma eps. At level 0, signal is 1 and sigma is 0.
struct Level {
  std::int64_t t;
  double signal;
  double sigma;

  /// Half the logarithm of the signal-to-noise ratio (Lu et al., 2022): log(signal / sigma). It is
  /// +infinity at level 0 and -infinity at the reference level.
  double lambda() const { return std::log(signal / sigma); }
};

Level level_of(const NoiseSchedule& schedule, std::int64_t t);

/// The model's estimate of the two parts of x = signal x_0 + sigma eps, both [B, C, H, W].
struct Denoised {
  at::Tensor x0;
  at::Tensor eps;
};

/// The random numbers that the images of a batch get.
struct SampleDraws {
  std::uint64_t seed = 0;
  /// The number of the batch's first image, below 2^32. The random numbers of image i depend on i,
  /// not on the batch that it is in.
  std::int64_t first_image = 0;
  /// Returns the noise [B, C, H, W] that normal("noise") gives in step 0, 1, ... When it is empty,
  /// normal("noise") draws it.
  std::function<at::Tensor(std::int64_t step)> noise = {};
};

/// What stays the same for a batch in all steps, and its count of evaluations.
struct SampleBatch {
  const Model& model;
  at::Tensor labels;  // int64 [B]; undefined: no class
  double guidance;    // w, see density.h
  SampleDraws draws;
  std::int64_t evaluations = 0;  // network evaluations per image so far
};

/// What a sampler may use in one step, from level `from` to the cleaner level `to`.
class SampleContext {
 public:
  /// `x`, [B, C, H, W], gives the shape, type and device of the images.
  SampleContext(SampleBatch& batch, const at::Tensor& x, std::int64_t step, std::int64_t steps,
                const Level& from, const Level& to);

  Level from, to;
  std::int64_t step;   // 0 .. steps - 1
  std::int64_t steps;  // number of steps in all; the last one leads to level 0

  /// The model's prediction for images x [B, C, H, W] at `level`, with the batch's classes and
  /// guidance: one evaluation of the network. At the reference level, where images hold nothing of
  /// x_0, the network is asked as if x were at the level before (NoiseSchedule::denoising_level).
  Denoised denoise(const at::Tensor& x, const Level& level) const;

  /// log p(x) at `level` in nats, float64 [B], with the batch's classes and guidance: one
  /// evaluation. It is the log density whose gradient denoise() follows, except at the reference
  /// level, where denoise() asks about the level before. For guidance > 0 it is not normalised.
  /// Throws UserError for a model without a density.
  at::Tensor log_prob(const at::Tensor& x, const Level& level) const;

  /// log_prob(x, level) and its gradient with respect to x, [B, C, H, W]: one evaluation.
  LogProbAndScore log_prob_and_score(const at::Tensor& x, const Level& level) const;

  /// Standard normal numbers [B, C, H, W] in the images' type. They depend only on the seed, the
  /// number of the image, the step and the name: two calls with one name in one step return the
  /// same numbers. For the name "noise", SampleDraws::noise is used where it is set.
  at::Tensor normal(std::string_view name) const;

  /// Uniform numbers in [0, 1), float64 [B], which depend on the same things. They are independent
  /// of the normal numbers with the same name.
  at::Tensor uniform(std::string_view name) const;

 private:
  at::Tensor levels(const Level& level) const;

  SampleBatch& batch_;
  at::Tensor like_;
};

/// What a driver must know about a sampler before it runs.
struct SamplerTraits {
  bool needs_density = false;                 // calls log_prob() or log_prob_and_score()
  bool draws_noise = false;                   // calls normal("noise")
  std::int64_t evaluations = 1;               // network evaluations per step,
  std::int64_t evaluations_in_last_step = 1;  // and in the last step, which leads to level 0
};

/// The result of a step, both [B, C, H, W].
struct Transition {
  at::Tensor x0;  // the prediction of x_0 that was made at level `from`
  at::Tensor x;   // the images at level `to`
};

class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual SamplerTraits traits() const = 0;
  /// Moves images x [B, C, H, W] from level context.from to context.to. It is called without
  /// autograd.
  virtual Transition step(const at::Tensor& x, const SampleContext& context) = 0;
};

/// A new sampler of the kind config.sampler, for one batch.
std::unique_ptr<Sampler> make_sampler(const SampleConfig& config);

}  // namespace cdm
