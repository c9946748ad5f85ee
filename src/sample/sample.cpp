// SPDX-License-Identifier: MIT
#include "cdm/sample/sample.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <string>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/device/random.h"

namespace cdm {
namespace {

/// The i-th of the `count` visited levels, counted from the cleanest: i = 0 .. count - 1.
std::int64_t visited_level(std::int64_t T, std::int64_t count, Spacing spacing, std::int64_t i) {
  switch (spacing) {
    case Spacing::leading:
      return 1 + i * T / count;
    case Spacing::trailing: {
      const double stride = static_cast<double>(T) / static_cast<double>(count);
      return std::llround(static_cast<double>(i + 1) * stride);
    }
    case Spacing::linspace: {
      if (count == 1) return T;
      const double stride = static_cast<double>(T - 1) / static_cast<double>(count - 1);
      return std::llround(1.0 + static_cast<double>(i) * stride);
    }
  }
  TORCH_CHECK(false, "sample.spacing is none of the spacings");
}

void check_levels(const NoiseSchedule& schedule, const SampleConfig& config) {
  if (schedule.levels() < 3) {
    throw UserError(concat("diffusion.steps = ", schedule.steps(),
                           ": a model of two levels, data and noise, cannot be sampled"));
  }
  sampling_levels(schedule.steps(), config.steps, config.spacing);
}

void check_density(const Sampler& sampler, Prediction predicts, const std::string& name) {
  if (!sampler.traits().needs_density || predicts == Prediction::logits) return;
  throw UserError(concat(name,
                         ": needs the density of the model, and a network with model.predicts = ",
                         name_of(predicts), " has none; it must be ", name_of(Prediction::logits)));
}

}  // namespace

std::vector<std::int64_t> sampling_levels(std::int64_t T, std::int64_t count, Spacing spacing) {
  if (count < 1 || count > T) {
    throw UserError(concat("sample.steps = ", count, ": must be in 1..", T,
                           " for a model with diffusion.steps = ", T));
  }
  std::vector<std::int64_t> levels;
  for (std::int64_t i = count - 1; i >= 0; --i) {
    levels.push_back(visited_level(T, count, spacing, i));
  }
  return levels;
}

void check_sampling(const NoiseSchedule& schedule, Prediction predicts,
                    const SampleConfig& config) {
  check_levels(schedule, config);
  check_density(*make_sampler(config), predicts,
                concat("sample.sampler = ", name_of(config.sampler)));
}

std::string warning_of_start(const NoiseSchedule& schedule, const SampleConfig& config) {
  constexpr double kMostImage = 0.05;
  const auto image_at = [&](std::int64_t t) {
    return std::pow(schedule.signal(t) / schedule.sigma(t), 2);
  };
  const std::int64_t T = schedule.steps();
  const std::int64_t first = sampling_levels(T, config.steps, config.spacing).front();
  if (image_at(first) <= kMostImage) return "";
  return concat("sampling starts from pure noise at level ", first, " of ", T,
                ", where the image still has ", fixed(image_at(first), 2),
                " times the variance of the noise, so images come out wrong: ",
                image_at(T) > kMostImage
                    ? "the schedule ends too early; give more diffusion.steps or a larger "
                      "diffusion.beta_end"
                    : "give more sampling steps, or sample.spacing = trailing");
}

std::int64_t evaluations_per_image(const SampleConfig& config) {
  const SamplerTraits traits = make_sampler(config)->traits();
  return (config.steps - 1) * traits.evaluations + traits.evaluations_in_last_step;
}

at::Tensor sample(const Model& model, const SampleConfig& config, const at::Tensor& x_T,
                  const at::Tensor& labels, const SampleDraws& draws, const StepCallback& on_step) {
  check_sampling(model.schedule(), model.network().predicts(), config);
  return sample(model, *make_sampler(config), config, x_T, labels, draws, on_step);
}

at::Tensor sample(const Model& model, Sampler& sampler, const SampleConfig& config,
                  const at::Tensor& x_T, const at::Tensor& labels, const SampleDraws& draws,
                  const StepCallback& on_step) {
  const NoiseSchedule& schedule = model.schedule();
  check_levels(schedule, config);
  check_density(sampler, model.network().predicts(), "the sampler");
  std::vector<std::int64_t> levels =
      sampling_levels(schedule.steps(), config.steps, config.spacing);
  levels.push_back(0);

  const c10::NoGradGuard no_grad;
  SampleBatch batch = {model, labels, config.guidance, draws};
  at::Tensor x = x_T;
  for (std::int64_t step = 0; step < config.steps; ++step) {
    const auto i = static_cast<std::size_t>(step);
    const SampleContext context(batch, x, step, config.steps, level_of(schedule, levels[i]),
                                level_of(schedule, levels[i + 1]));
    const Transition moved = sampler.step(x, context);
    if (on_step) on_step({step + 1, x, moved.x0, moved.x, batch.evaluations});
    x = moved.x;
  }
  return x;
}

at::Tensor start_noise(std::uint64_t seed, std::int64_t first_image, const at::Tensor& like) {
  return normal({seed, Purpose::sample_start}, like.sizes(), like.options(), first_image);
}

}  // namespace cdm
