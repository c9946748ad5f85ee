// SPDX-License-Identifier: MIT
// What a sampler is: a transition from one noise level to a cleaner one, with a memory of its own.
//
// A sampler is an object made for one batch. It is asked once per step, from the noisiest level to
// level 0, and may keep in its members what it needs of earlier steps. All it may ask for (the
// model's prediction, its density, random numbers) comes from the SampleContext of the step.
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

  /// Half the logarithm of the signal-to-noise ratio. Infinite at level 0 and at a reference level.
  double lambda() const { return std::log(signal / sigma); }
};

Level level_of(const NoiseSchedule& schedule, std::int64_t t);

/// The two parts of x = signal x_0 + sigma eps that the model sees in it, both [B, C, H, W].
struct Denoised {
  at::Tensor x0;
  at::Tensor eps;
};

/// Which random numbers the images of a batch get.
struct SampleDraws {
  std::uint64_t seed = 0;
  /// The number of the batch's first image in the run. What image i gets depends on i, not on the
  /// batch that it is drawn in. Image numbers are below 2^32.
  std::int64_t first_image = 0;
  /// What normal("noise") returns in step k = 0, 1, ...: [B, C, H, W]. Empty: drawn numbers.
  std::function<at::Tensor(std::int64_t step)> noise = {};
};

/// A batch on its way through the levels.
struct SampleBatch {
  const Model& model;
  at::Tensor labels;  // int64 [B]; undefined: no class
  double guidance;    // w, see density.h
  SampleDraws draws;
  std::int64_t evaluations = 0;  // of the network so far
};

/// What a sampler may ask for in one step, from level `from` to the cleaner level `to`.
class SampleContext {
 public:
  /// Step number `step` of `steps`. `x` gives the shape, type and device of the images.
  SampleContext(SampleBatch& batch, const at::Tensor& x, std::int64_t step, std::int64_t steps,
                const Level& from, const Level& to);

  Level from, to;
  std::int64_t step;   // 0 .. steps - 1
  std::int64_t steps;  // of the whole run; the last one leads to level 0

  /// The model's prediction for images x [B, C, H, W] at a level, with the run's classes and
  /// guidance: one evaluation of the network. At a reference level, which holds nothing of x_0, it
  /// is made as if x were at the level before (NoiseSchedule::denoising_level).
  Denoised denoise(const at::Tensor& x, const Level& level) const;

  /// log p(x) at a level in nats, float64 [B]: one evaluation. The density is the guided one, whose
  /// gradient denoise() follows; for guidance > 0 it is not normalised. Throws UserError for a
  /// model without a density.
  at::Tensor log_prob(const at::Tensor& x, const Level& level) const;

  /// The same, and its gradient by x [B, C, H, W]: one evaluation.
  LogProbAndScore log_prob_and_score(const at::Tensor& x, const Level& level) const;

  /// Standard normal numbers [B, C, H, W] in the images' type. They depend on the seed, the number
  /// of the image, the step and the name only: the same name twice in a step gives the same numbers
  /// twice. SampleDraws::noise, where it is given, takes the place of those named "noise".
  at::Tensor normal(std::string_view name) const;

  /// Uniform numbers in [0, 1), float64 [B], in the same way. They are independent of the normal
  /// numbers of the same name.
  at::Tensor uniform(std::string_view name) const;

 private:
  at::Tensor levels(const Level& level) const;

  SampleBatch& batch_;
  at::Tensor like_;
};

/// What must be known of a sampler before it runs.
struct SamplerTraits {
  bool needs_density = false;  // asks for log_prob or log_prob_and_score
  bool draws_noise = false;    // asks for normal("noise")
  std::int64_t evaluations = 1;
  std::int64_t evaluations_in_last_step = 1;  // in the step to level 0
};

/// What a step did.
struct Transition {
  at::Tensor x0;  // the prediction of x_0 that was made at level `from`
  at::Tensor x;   // the images at level `to`
};

class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual SamplerTraits traits() const = 0;
  /// Moves x [B, C, H, W] at context.from to context.to. No graph is kept.
  virtual Transition step(const at::Tensor& x, const SampleContext& context) = 0;
};

/// The sampler that config.sampler names, for one batch.
std::unique_ptr<Sampler> make_sampler(const SampleConfig& config);

}  // namespace cdm
