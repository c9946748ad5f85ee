// SPDX-License-Identifier: MIT
#include "cdm/sample/sampler.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/device/random.h"

namespace cdm {
namespace {

/// One level: x = signal x_0 + sigma eps.
struct Level {
  double signal;
  double sigma;

  double lambda() const { return std::log(signal / sigma); }
};

/// What the model says of an image at a level.
struct Predicted {
  at::Tensor x0;
  at::Tensor eps;
};

/// A step from x at `from` to the cleaner `to`, with the prediction there.
struct Step {
  Level from;
  Level to;
  at::Tensor x;
  Predicted now;
};

/// What a multistep method remembers of the step before.
struct Past {
  Predicted prediction;
  double log_width;  // how far lambda moved in it
};

/// Variance of q(x_s | x_t, x_0); for neighbouring levels, beta_tilde.
double posterior_variance(const Step& step) {
  const double ratio = step.from.signal / step.to.signal;
  const double added = step.from.sigma * step.from.sigma - std::pow(ratio * step.to.sigma, 2);
  return std::pow(step.to.sigma / step.from.sigma, 2) * added;
}

at::Tensor ddpm(const Step& step, const at::Tensor& noise) {
  const double ratio = step.from.signal / step.to.signal;
  const double variance_t = step.from.sigma * step.from.sigma;
  const double variance_s = step.to.sigma * step.to.sigma;
  const double added = variance_t - ratio * ratio * variance_s;
  return (step.to.signal * added / variance_t) * step.now.x0 +
         (ratio * variance_s / variance_t) * step.x + std::sqrt(posterior_variance(step)) * noise;
}

/// eta = 0.
at::Tensor ddim(const Step& step) {
  return step.to.signal * step.now.x0 + step.to.sigma * step.now.eps;
}

at::Tensor ddim(const Step& step, double eta, const at::Tensor& noise) {
  const double variance = eta * eta * posterior_variance(step);
  return step.to.signal * step.now.x0 +
         std::sqrt(step.to.sigma * step.to.sigma - variance) * step.now.eps +
         std::sqrt(variance) * noise;
}

/// `there`: the prediction at the end of ddim's step.
at::Tensor heun(const Step& step, const Predicted& there) {
  const double signal_change = step.to.signal - step.from.signal;
  const double sigma_change = step.to.sigma - step.from.sigma;
  return step.x + (0.5 * signal_change) * (step.now.x0 + there.x0) +
         (0.5 * sigma_change) * (step.now.eps + there.eps);
}

at::Tensor dpm_solver_2(const Step& step, const Past& past) {
  const double h = step.to.lambda() - step.from.lambda();
  const at::Tensor slope = (step.now.eps - past.prediction.eps) / past.log_width;
  return (step.to.signal / step.from.signal) * step.x -
         (step.to.sigma * std::expm1(h)) * step.now.eps -
         (step.to.sigma * (std::expm1(h) - h)) * slope;
}

at::Tensor dpm_solver_pp_2m(const Step& step, const Past& past) {
  const double h = step.to.lambda() - step.from.lambda();
  const double weight = 0.5 * h / past.log_width;  // 1 / (2 r)
  const at::Tensor x0 = (1.0 + weight) * step.now.x0 - weight * past.prediction.x0;
  return (step.to.sigma / step.from.sigma) * step.x - (step.to.signal * std::expm1(-h)) * x0;
}

}  // namespace

std::vector<std::int64_t> sampling_levels(std::int64_t T, std::int64_t count, Spacing spacing) {
  if (count < 1 || count > T) {
    throw UserError(concat("sample.steps = ", count, ": must be in 1..", T,
                           " for a model with diffusion.steps = ", T));
  }
  const double stride = static_cast<double>(T) / static_cast<double>(count);
  std::vector<std::int64_t> levels;
  for (std::int64_t i = count - 1; i >= 0; --i) {
    switch (spacing) {
      case Spacing::leading:
        levels.push_back(1 + i * (T / count));
        break;
      case Spacing::trailing:
        levels.push_back(std::llround(static_cast<double>(i + 1) * stride));
        break;
      case Spacing::linspace: {
        const double step =
            count > 1 ? static_cast<double>(T - 1) / static_cast<double>(count - 1) : 0.0;
        levels.push_back(count == 1 ? T : std::llround(1.0 + static_cast<double>(i) * step));
        break;
      }
    }
  }
  return levels;
}

bool draws_noise(const SampleConfig& config) {
  return config.sampler == SamplerKind::ddpm ||
         (config.sampler == SamplerKind::ddim && config.eta > 0.0);
}

void check_sampling(const NoiseSchedule& schedule, const SampleConfig& config) {
  if (schedule.levels() < 3) {
    throw UserError(concat("diffusion.steps = ", schedule.steps(),
                           ": a model of two levels, data and noise, cannot be sampled"));
  }
  sampling_levels(schedule.steps(), config.steps, config.spacing);
}

at::Tensor sample(const Denoiser& model, const SampleConfig& config, const at::Tensor& x_T,
                  const at::Tensor& labels, const NoiseSource& noise, const StepCallback& on_step) {
  const NoiseSchedule& schedule = model.schedule();
  check_sampling(schedule, config);
  std::vector<std::int64_t> levels =
      sampling_levels(schedule.steps(), config.steps, config.spacing);
  levels.push_back(0);

  const c10::NoGradGuard no_grad;
  const auto level_of = [&](std::int64_t t) {
    return Level{schedule.signal(t), schedule.sigma(t)};
  };
  const auto predict = [&](const at::Tensor& x, std::int64_t t) {
    const std::int64_t asked = schedule.denoising_level(t);
    const at::Tensor levels_of_batch = at::full({x.size(0)}, asked, x.options().dtype(at::kLong));
    const at::Tensor eps = model.predict_noise(x, levels_of_batch, labels, config.guidance);
    const Level there = level_of(asked);
    const at::Tensor x0 = (x - there.sigma * eps) / there.signal;
    if (asked == t) return Predicted{x0, eps};
    return Predicted{x0, (x - schedule.signal(t) * x0) / schedule.sigma(t)};
  };

  at::Tensor x = x_T;
  Past past = {};
  for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
    const std::int64_t t = levels[i];
    const std::int64_t s = levels[i + 1];
    const Step step = {level_of(t), level_of(s), x, predict(x, t)};
    const auto draw = [&] { return noise(static_cast<std::int64_t>(i)); };
    const bool is_multistep = config.sampler == SamplerKind::dpm_solver_2 ||
                              config.sampler == SamplerKind::dpm_solver_pp_2m;
    if (config.sampler == SamplerKind::ddpm) {
      x = ddpm(step, draw());
    } else if (draws_noise(config)) {
      x = ddim(step, config.eta, draw());
    } else if (s == 0) {
      x = step.now.x0;
    } else if (config.sampler == SamplerKind::heun) {
      x = heun(step, predict(ddim(step), s));
    } else if (is_multistep && i > 0) {
      x = config.sampler == SamplerKind::dpm_solver_2 ? dpm_solver_2(step, past)
                                                      : dpm_solver_pp_2m(step, past);
    } else {
      x = ddim(step);  // euler, and how multistep methods begin
    }
    if (is_multistep && s > 0) past = {step.now, step.to.lambda() - step.from.lambda()};
    if (on_step) on_step({static_cast<std::int64_t>(i) + 1, step.x, step.now.x0, x});
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
