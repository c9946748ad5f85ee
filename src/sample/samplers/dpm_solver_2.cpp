// SPDX-License-Identifier: MIT
// DPM-Solver of second order (Lu et al., 2022, arXiv 2206.00927, section 3.2), as a multistep
// method. With lambda = log(signal / sigma) and h = lambda_s - lambda_t,
//   x_s = (signal_s / signal_t) x_t - sigma_s (e^h - 1) eps - sigma_s (e^h - 1 - h) eps'
// The derivative eps' of eps with respect to lambda is approximated by a difference: the change of
// eps since the previous step, divided by the change of lambda. The first step has no previous one
// and is of first order (DPM-Solver-1). In the last step h is infinite; it returns x_0.
#include <optional>

#include "sample/samplers/samplers.h"
#include "sample/samplers/steps.h"

namespace cdm {
namespace {

class DpmSolver2 final : public Sampler {
 public:
  SamplerTraits traits() const override { return {}; }

  Transition step(const at::Tensor& x, const SampleContext& context) override {
    const Level& t = context.from;
    const Level& s = context.to;
    const Denoised now = context.denoise(x, t);
    if (s.t == 0) return {now.x0, now.x0};
    const double h = s.lambda() - t.lambda();
    const at::Tensor moved = before_ ? second_order_step(x, now, t, s) : first_order_step(now, s);
    before_ = {now.eps, h};
    return {now.x0, moved};
  }

 private:
  /// What the next step needs of this one.
  struct Before {
    at::Tensor eps;
    double h;
  };

  at::Tensor second_order_step(const at::Tensor& x, const Denoised& now, const Level& t,
                               const Level& s) const {
    const double h = s.lambda() - t.lambda();
    const at::Tensor slope = (now.eps - before_->eps) / before_->h;
    return (s.signal / t.signal) * x - (s.sigma * std::expm1(h)) * now.eps -
           (s.sigma * (std::expm1(h) - h)) * slope;
  }

  std::optional<Before> before_;
};

}  // namespace

std::unique_ptr<Sampler> make_dpm_solver_2_sampler() { return std::make_unique<DpmSolver2>(); }

}  // namespace cdm
