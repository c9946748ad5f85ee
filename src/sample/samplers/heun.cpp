// SPDX-License-Identifier: MIT
// Heun's method, of second order, on the probability flow dx = x_0 d signal + eps d sigma (Karras
// et al., 2022, arXiv 2206.00364, algorithm 1, in another parametrisation). It is the trapezoidal
// rule: the model is evaluated at x_t and where a first-order step leads, and the two derivatives
// are averaged. The last step is of first order, because the model has no prediction at level 0.
#include "sample/samplers/samplers.h"
#include "sample/samplers/steps.h"

namespace cdm {
namespace {

class Heun final : public Sampler {
 public:
  SamplerTraits traits() const override {
    return {.evaluations = 2, .evaluations_in_last_step = 1};
  }

  Transition step(const at::Tensor& x, const SampleContext& context) override {
    const Level& t = context.from;
    const Level& s = context.to;
    const Denoised now = context.denoise(x, t);
    if (s.t == 0) return {now.x0, now.x0};
    const Denoised there = context.denoise(first_order_step(now, s), s);
    return {now.x0, x + (0.5 * (s.signal - t.signal)) * (now.x0 + there.x0) +
                        (0.5 * (s.sigma - t.sigma)) * (now.eps + there.eps)};
  }
};

}  // namespace

std::unique_ptr<Sampler> make_heun_sampler() { return std::make_unique<Heun>(); }

}  // namespace cdm
