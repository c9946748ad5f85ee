// SPDX-License-Identifier: MIT
// What multistep samplers of second order have in common: they use the prediction of the previous
// step as well. The first step has no previous one and is of first order. In the last step, to
// level 0, lambda is infinite; it returns the prediction of x_0.
#pragma once

#include <optional>

#include "sample/samplers/steps.h"

namespace cdm {

class MultistepSampler : public Sampler {
 public:
  SamplerTraits traits() const override { return {}; }

  Transition step(const at::Tensor& x, const SampleContext& context) override {
    const Level& t = context.from;
    const Level& s = context.to;
    const Denoised now = context.denoise(x, t);
    if (s.t == 0) return {now.x0, now.x0};
    const double h = s.lambda() - t.lambda();
    const at::Tensor moved =
        previous_ ? second_order_step(x, t, s, {now, h}, *previous_) : first_order_step(now, s);
    previous_ = {now, h};
    return {now.x0, moved};
  }

 protected:
  /// A step: the prediction it begins with, and the change h of lambda in it.
  struct Step {
    Denoised denoised;
    double h;
  };

  /// Moves x from level t to level s.
  virtual at::Tensor second_order_step(const at::Tensor& x, const Level& t, const Level& s,
                                       const Step& now, const Step& previous) const = 0;

 private:
  std::optional<Step> previous_;
};

}  // namespace cdm
