// SPDX-License-Identifier: MIT
#include "cdm/sample/sampler.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "cdm/error.h"
#include "cdm/random.h"
#include "cdm/text.h"

namespace cdm {
namespace {

/// One step: from x at level t, with its predicted noise eps, to level s < t.
struct Step {
  double alpha_bar_t;
  double alpha_bar_s;
  at::Tensor x;
  at::Tensor eps;

  at::Tensor predicted_x0() const {
    return (x - std::sqrt(1.0 - alpha_bar_t) * eps) / std::sqrt(alpha_bar_t);
  }
};

/// Denoising diffusion implicit models (Song et al., 2021), eta = 0.
at::Tensor ddim(const Step& step) {
  return std::sqrt(step.alpha_bar_s) * step.predicted_x0() +
         std::sqrt(1.0 - step.alpha_bar_s) * step.eps;
}

/// Ancestral sampling (Ho et al., 2020, equation 7): mean and variance beta_tilde of
/// q(x_s | x_t, x_0). Between levels further apart than one, alpha and beta are those of the whole
/// interval from s to t.
at::Tensor ddpm(const Step& step, const at::Tensor& noise) {
  const double alpha = step.alpha_bar_t / step.alpha_bar_s;
  const double beta = 1.0 - alpha;
  const double variance_t = 1.0 - step.alpha_bar_t;
  const double variance_s = 1.0 - step.alpha_bar_s;
  return (std::sqrt(step.alpha_bar_s) * beta / variance_t) * step.predicted_x0() +
         (std::sqrt(alpha) * variance_s / variance_t) * step.x +
         std::sqrt(variance_s / variance_t * beta) * noise;
}

}  // namespace

std::vector<std::int64_t> sampling_levels(std::int64_t T, std::int64_t count,
                                          const std::string& spacing) {
  if (count < 1 || count > T) {
    throw UserError(concat("sample.steps = ", count, ": must be in 1..", T,
                           " for a model with diffusion.steps = ", T));
  }
  const double stride = static_cast<double>(T) / static_cast<double>(count);
  std::vector<std::int64_t> levels;
  for (std::int64_t i = count - 1; i >= 0; --i) {
    if (spacing == "leading") {
      levels.push_back(1 + i * (T / count));
    } else if (spacing == "trailing") {
      levels.push_back(std::llround(static_cast<double>(i + 1) * stride));
    } else if (spacing == "linspace") {
      const double step =
          count > 1 ? static_cast<double>(T - 1) / static_cast<double>(count - 1) : 0.0;
      levels.push_back(count == 1 ? T : std::llround(1.0 + static_cast<double>(i) * step));
    } else {
      throw UserError(
          concat("sample.spacing = ", spacing, ": must be leading, trailing or linspace"));
    }
  }
  return levels;
}

at::Tensor sample(const Classifier& classifier, const SampleConfig& config, const at::Tensor& x_T,
                  const at::Tensor& labels, const NoiseSource& noise, const StepCallback& on_step) {
  const bool is_ddpm = config.sampler == "ddpm";
  if (!is_ddpm && config.sampler != "ddim") {
    throw UserError(concat("sample.sampler = ", config.sampler, ": must be ddpm or ddim"));
  }
  const NoiseSchedule& schedule = classifier.schedule();
  const std::vector<std::int64_t> levels =
      sampling_levels(schedule.steps(), config.steps, config.spacing);

  const c10::NoGradGuard no_grad;
  at::Tensor x = x_T;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const std::int64_t s = i + 1 < levels.size() ? levels[i + 1] : 0;
    const at::Tensor t = at::full({x.size(0)}, levels[i], x.options().dtype(at::kLong));
    const at::Tensor eps = classifier.predict_noise(x, t, labels, config.guidance);
    const Step step = {schedule.alpha_bar(levels[i]), schedule.alpha_bar(s), x, eps};
    x = is_ddpm ? ddpm(step, noise(static_cast<std::int64_t>(i))) : ddim(step);
    if (on_step) on_step(static_cast<std::int64_t>(i) + 1);
  }
  return x;
}

at::Tensor start_noise(std::uint64_t seed, std::int64_t first_image, const at::Tensor& like) {
  return normal({seed, Purpose::sample_start}, like.sizes(), like.options(), first_image);
}

NoiseSource step_noise(std::uint64_t seed, std::int64_t first_image, const at::Tensor& like) {
  return [=](std::int64_t step) {
    const RandomStream stream = {seed, Purpose::sample_step, static_cast<std::uint64_t>(step)};
    return normal(stream, like.sizes(), like.options(), first_image);
  };
}

}  // namespace cdm
