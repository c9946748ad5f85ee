// SPDX-License-Identifier: MIT
#include "cdm/sample/sampler.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <c10/util/Exception.h>

#include "cdm/core/text.h"
#include "cdm/device/random.h"
#include "sample/samplers/samplers.h"

namespace cdm {

Level level_of(const NoiseSchedule& schedule, std::int64_t t) {
  return {t, schedule.signal(t), schedule.sigma(t)};
}

SampleContext::SampleContext(SampleBatch& batch, const at::Tensor& x, std::int64_t step,
                             std::int64_t steps, const Level& from, const Level& to)
    : from(from), to(to), step(step), steps(steps), batch_(batch), like_(x) {}

at::Tensor SampleContext::levels(const Level& level) const {
  return at::full({like_.size(0)}, level.t, like_.options().dtype(at::kLong));
}

Denoised SampleContext::denoise(const at::Tensor& x, const Level& level) const {
  ++batch_.evaluations;
  const NoiseSchedule& schedule = batch_.model.schedule();
  const Level asked = level_of(schedule, schedule.denoising_level(level.t));
  const at::Tensor eps =
      batch_.model.predict_noise(x, levels(asked), batch_.labels, batch_.guidance);
  const at::Tensor x0 = (x - asked.sigma * eps) / asked.signal;
  if (asked.t == level.t) return {x0, eps};
  return {x0, (x - level.signal * x0) / level.sigma};
}

at::Tensor SampleContext::log_prob(const at::Tensor& x, const Level& level) const {
  const Density& density = batch_.model.density();
  ++batch_.evaluations;
  return density.log_prob(x, levels(level), batch_.labels, batch_.guidance);
}

LogProbAndScore SampleContext::log_prob_and_score(const at::Tensor& x, const Level& level) const {
  const Density& density = batch_.model.density();
  ++batch_.evaluations;
  return density.log_prob_and_score(x, levels(level), batch_.labels, batch_.guidance);
}

at::Tensor SampleContext::normal(std::string_view name) const {
  const SampleDraws& draws = batch_.draws;
  Purpose purpose = Purpose::sample_step;
  if (name != "noise") {
    purpose = named_purpose(concat("sample normal ", name));
  } else if (draws.noise) {
    return draws.noise(step);
  }
  return cdm::normal({draws.seed, purpose, static_cast<std::uint64_t>(step)}, like_.sizes(),
                     like_.options(), draws.first_image);
}

at::Tensor SampleContext::uniform(std::string_view name) const {
  const SampleDraws& draws = batch_.draws;
  const Purpose purpose = named_purpose(concat("sample uniform ", name));
  return cdm::uniform({draws.seed, purpose, static_cast<std::uint64_t>(step)}, {like_.size(0)},
                      like_.options().dtype(at::kDouble), draws.first_image);
}

std::unique_ptr<Sampler> make_sampler(const SampleConfig& config) {
  switch (config.sampler) {
    case SamplerKind::ddpm:
      return make_ddpm_sampler();
    case SamplerKind::ddim:
      return make_ddim_sampler(config.eta);
    case SamplerKind::dpm_solver_2:
      return make_dpm_solver_2_sampler();
    case SamplerKind::dpm_solver_pp_2m:
      return make_dpm_solver_pp_2m_sampler();
    case SamplerKind::heun:
      return make_heun_sampler();
    case SamplerKind::euler:
      return make_ddim_sampler(0.0);
  }
  TORCH_CHECK(false, "sample.sampler is none of the samplers");
}

}  // namespace cdm
