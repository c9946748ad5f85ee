// SPDX-License-Identifier: MIT
#include "cdm/diffusion/schedule.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

const at::TensorOptions kReal = at::TensorOptions().dtype(at::kDouble);

/// abar of levels 0..T+1 from those of levels 1..T: 1 for the data and 0 for the reference are
/// added.
at::Tensor with_ends(const at::Tensor& alpha_bar) {
  return at::cat({at::ones({1}, kReal), alpha_bar, at::zeros({1}, kReal)});
}

at::Tensor linear_alpha_bar(const DiffusionConfig& config) {
  const at::Tensor beta = at::linspace(config.beta_start, config.beta_end, config.steps, kReal);
  return with_ends((1.0 - beta).cumprod(0));
}

at::Tensor cosine_alpha_bar(std::int64_t T) {
  constexpr double kOffset = 0.008;
  const at::Tensor u = at::arange(1, T + 1, kReal) / static_cast<double>(T + 1);
  const auto g = [](const at::Tensor& v) {
    return ((v + kOffset) * (std::numbers::pi / 2.0 / (1.0 + kOffset))).cos().square();
  };
  return with_ends(g(u) / g(at::zeros({1}, kReal)));
}

/// table[t] of each image: [B, 1, 1, 1], so that it can be multiplied with images.
at::Tensor per_image(const at::Tensor& table, const at::Tensor& t, const at::Tensor& like) {
  return table.to(like.options()).index_select(0, t.to(like.device())).view({-1, 1, 1, 1});
}

/// Throws UserError for levels that samplers cannot use: they divide by the signal and the sigma of
/// each level between data and reference, and by the change of log(signal / sigma) between levels.
void check_levels(const DiffusionConfig& config, const at::Tensor& signal) {
  const auto* const image = signal.const_data_ptr<double>();
  const std::string keys = [&] {
    switch (config.schedule) {
      case ScheduleKind::linear:
        return concat("diffusion.beta_start = ", config.beta_start,
                      ", diffusion.beta_end = ", config.beta_end);
      case ScheduleKind::log_snr:
        return concat("diffusion.log_snr_max = ", config.log_snr_max,
                      ", diffusion.log_snr_min = ", config.log_snr_min);
      case ScheduleKind::cosine:
      case ScheduleKind::uniform:
      case ScheduleKind::flow_matching:
        break;
    }
    return concat("diffusion.schedule = ", name_of(config.schedule));
  }();
  for (std::int64_t t = 1; t + 1 < signal.size(0); ++t) {
    const bool no_image = !(image[t] > 0.0);
    if (!no_image && image[t] < image[t - 1]) continue;
    const bool betas = config.schedule == ScheduleKind::linear;
    throw UserError(
        concat(keys, ": level ", t, " of diffusion.steps = ", config.steps,
               no_image ? " holds no image any more" : " holds no more noise than the one before",
               betas ? concat("; betas must be ", no_image ? "smaller" : "larger") : ""));
  }
}

double at_level(const at::Tensor& table, std::int64_t t) {
  TORCH_CHECK(t >= 0 && t < table.size(0), "level ", t, " is not in 0..", table.size(0) - 1);
  return table.const_data_ptr<double>()[t];
}

}  // namespace

NoiseSchedule::NoiseSchedule(const DiffusionConfig& config) : steps_(config.steps) {
  const auto T = static_cast<double>(steps_);
  const auto from_alpha_bar = [this](const at::Tensor& alpha_bar) {
    signal_ = alpha_bar.sqrt();
    sigma_ = (1.0 - alpha_bar).sqrt();
  };
  switch (config.schedule) {
    case ScheduleKind::linear:
      from_alpha_bar(linear_alpha_bar(config));
      break;
    case ScheduleKind::cosine:
      from_alpha_bar(cosine_alpha_bar(steps_));
      break;
    case ScheduleKind::uniform:
      sigma_ = at::arange(0, steps_ + 2, kReal) / (T + 1.0);
      signal_ = (1.0 - sigma_.square()).sqrt();
      break;
    case ScheduleKind::log_snr: {
      const at::Tensor log_snr =
          at::linspace(config.log_snr_max, config.log_snr_min, steps_, kReal);
      const at::Tensor zero = at::zeros({1}, kReal), one = at::ones({1}, kReal);
      signal_ = at::cat({one, log_snr.sigmoid().sqrt(), zero});
      sigma_ =
          at::cat({zero, log_snr.neg().sigmoid().sqrt(), one});  // exact where signal is near 1
      break;
    }
    case ScheduleKind::flow_matching:
      sigma_ = at::arange(0, steps_ + 1, kReal) / T;
      signal_ = 1.0 - sigma_;
      break;
  }
  check_levels(config, signal_);
  placed_signal_ = signal_;
  placed_sigma_ = sigma_;
}

std::int64_t NoiseSchedule::denoising_level(std::int64_t t) const {
  return std::min(t, reference_level() - 1);
}

double NoiseSchedule::signal(std::int64_t t) const { return at_level(signal_, t); }
double NoiseSchedule::sigma(std::int64_t t) const { return at_level(sigma_, t); }
double NoiseSchedule::log_snr(std::int64_t t) const { return 2.0 * std::log(signal(t) / sigma(t)); }

at::Tensor NoiseSchedule::log_snr_weights() const {
  at::Tensor weights = at::zeros({levels()}, kReal);
  auto* const weight = weights.mutable_data_ptr<double>();
  for (std::int64_t t = 1; t + 1 < reference_level(); ++t) {
    const double half = 0.5 * (log_snr(t) - log_snr(t + 1));
    weight[t] += half;
    weight[t + 1] += half;
  }
  return weights;
}

void NoiseSchedule::to(const at::TensorOptions& options) {
  placed_signal_ = signal_.to(options);
  placed_sigma_ = sigma_.to(options);
}

at::Tensor NoiseSchedule::signal(const at::Tensor& t, const at::Tensor& like) const {
  return per_image(placed_signal_, t, like);
}

at::Tensor NoiseSchedule::sigma(const at::Tensor& t, const at::Tensor& like) const {
  return per_image(placed_sigma_, t, like);
}

at::Tensor NoiseSchedule::add_noise(const at::Tensor& x0, const at::Tensor& t,
                                    const at::Tensor& noise) const {
  return signal(t, x0) * x0 + sigma(t, x0) * noise;
}

}  // namespace cdm
