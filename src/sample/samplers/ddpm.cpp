// SPDX-License-Identifier: MIT
// Ancestral sampling (Ho et al., 2020, arXiv 2006.11239, equations 6 and 7): draws x_s from
// q(x_s | x_t, x_0), with the model's prediction in place of x_0. The equations also hold where t
// and s are not neighbours. With r = signal_t / signal_s and v = sigma_t^2 - r^2 sigma_s^2,
//   mean      (signal_s v / sigma_t^2) x_0 + (r sigma_s^2 / sigma_t^2) x_t
//   variance  sigma_s^2 v / sigma_t^2
// At level 0, sigma_s is 0, and the step returns x_0.
#include "sample/samplers/samplers.h"
#include "sample/samplers/steps.h"

namespace cdm {
namespace {

class Ddpm final : public Sampler {
 public:
  SamplerTraits traits() const override { return {.draws_noise = true}; }

  Transition step(const at::Tensor& x, const SampleContext& context) override {
    const Level& t = context.from;
    const Level& s = context.to;
    const Denoised now = context.denoise(x, t);
    const double ratio = t.signal / s.signal;
    const double variance_t = t.sigma * t.sigma;
    const double variance_s = s.sigma * s.sigma;
    const double added = variance_t - ratio * ratio * variance_s;
    return {now.x0, (s.signal * added / variance_t) * now.x0 +
                        (ratio * variance_s / variance_t) * x +
                        std::sqrt(posterior_variance(t, s)) * context.normal("noise")};
  }
};

}  // namespace

std::unique_ptr<Sampler> make_ddpm_sampler() { return std::make_unique<Ddpm>(); }

}  // namespace cdm
