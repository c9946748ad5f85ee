// SPDX-License-Identifier: MIT
// DDIM (Song et al., 2021, arXiv 2010.02502, equations 12 and 16):
//   x_s = signal_s x_0 + sqrt(sigma_s^2 - v) eps + sqrt(v) z
// with standard normal z, and v = eta^2 times the variance of ddpm's step. eta = 1 is ddpm.
//
// With eta = 0 it is a step of Euler's method on the probability flow dx = x_0 d signal +
// eps d sigma. The sampler named euler is this one with eta = 0. For flow matching the step is
// x_t + (s - t) v, with the velocity v = (eps - x_t) / (T - t).
#include "sample/samplers/samplers.h"
#include "sample/samplers/steps.h"

namespace cdm {
namespace {

class Ddim final : public Sampler {
 public:
  explicit Ddim(double eta) : eta_(eta) {}

  SamplerTraits traits() const override { return {.draws_noise = eta_ > 0.0}; }

  Transition step(const at::Tensor& x, const SampleContext& context) override {
    const Level& s = context.to;
    const Denoised now = context.denoise(x, context.from);
    if (eta_ == 0.0) return {now.x0, first_order_step(now, s)};
    const double variance = eta_ * eta_ * posterior_variance(context.from, s);
    return {now.x0, s.signal * now.x0 + std::sqrt(s.sigma * s.sigma - variance) * now.eps +
                        std::sqrt(variance) * context.normal("noise")};
  }

 private:
  double eta_;
};

}  // namespace

std::unique_ptr<Sampler> make_ddim_sampler(double eta) { return std::make_unique<Ddim>(eta); }

}  // namespace cdm
