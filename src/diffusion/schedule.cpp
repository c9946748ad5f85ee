// SPDX-License-Identifier: MIT
#include "cdm/diffusion/schedule.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include "cdm/error.h"
#include "cdm/text.h"

namespace cdm {
namespace {

/// One value per image, shaped to be multiplied with images.
at::Tensor per_image(const at::Tensor& table, const at::Tensor& t, const at::Tensor& like) {
  return table.to(like.options()).index_select(0, t.to(like.device())).view({-1, 1, 1, 1});
}

}  // namespace

NoiseSchedule::NoiseSchedule(const DiffusionConfig& config) : steps_(config.steps) {
  if (config.schedule != "linear") {
    throw UserError(concat("diffusion.schedule = ", config.schedule, ": must be linear"));
  }
  const auto real = at::TensorOptions().dtype(at::kDouble);
  const at::Tensor beta = at::linspace(config.beta_start, config.beta_end, config.steps, real);
  alpha_bar_ = at::cat({at::ones({1}, real), (1.0 - beta).cumprod(0), at::zeros({1}, real)});
  signal_ = alpha_bar_.sqrt();
  sigma_ = (1.0 - alpha_bar_).sqrt();
}

void NoiseSchedule::to(const at::TensorOptions& options) {
  signal_ = alpha_bar_.sqrt().to(options);
  sigma_ = (1.0 - alpha_bar_).sqrt().to(options);
}

double NoiseSchedule::alpha_bar(std::int64_t t) const {
  TORCH_CHECK(t >= 0 && t < levels(), "level ", t, " is not in 0..", levels() - 1);
  return alpha_bar_.const_data_ptr<double>()[t];
}

at::Tensor NoiseSchedule::signal(const at::Tensor& t, const at::Tensor& like) const {
  return per_image(signal_, t, like);
}

at::Tensor NoiseSchedule::sigma(const at::Tensor& t, const at::Tensor& like) const {
  return per_image(sigma_, t, like);
}

at::Tensor NoiseSchedule::add_noise(const at::Tensor& x0, const at::Tensor& t,
                                    const at::Tensor& noise) const {
  return signal(t, x0) * x0 + sigma(t, x0) * noise;
}

}  // namespace cdm
