// SPDX-License-Identifier: MIT
// DPM-Solver++(2M) (Lu et al., 2022, arXiv 2211.01095, algorithm 2): a multistep method of second
// order in the prediction of x_0. With lambda = log(signal / sigma), h = lambda_s - lambda_t, and
// h' and x_0' those of the previous step,
//   x_s = (sigma_s / sigma_t) x_t - signal_s (e^-h - 1) (x_0 + (h / 2h') (x_0 - x_0'))
// The first step has no previous one and is of first order. In the last step h is infinite; it
// returns x_0.
#include <optional>

#include "sample/samplers/samplers.h"
#include "sample/samplers/steps.h"

namespace cdm {
namespace {

class DpmSolverPp2m final : public Sampler {
 public:
  SamplerTraits traits() const override { return {}; }

  Transition step(const at::Tensor& x, const SampleContext& context) override {
    const Level& t = context.from;
    const Level& s = context.to;
    const Denoised now = context.denoise(x, t);
    if (s.t == 0) return {now.x0, now.x0};
    const double h = s.lambda() - t.lambda();
    at::Tensor moved;
    if (before_) {
      const double weight = 0.5 * h / before_->h;
      const at::Tensor x0 = (1.0 + weight) * now.x0 - weight * before_->x0;
      moved = (s.sigma / t.sigma) * x - (s.signal * std::expm1(-h)) * x0;
    } else {
      moved = first_order_step(now, s);
    }
    before_ = {now.x0, h};
    return {now.x0, moved};
  }

 private:
  /// What the next step needs of this one.
  struct Before {
    at::Tensor x0;
    double h;
  };
  std::optional<Before> before_;
};

}  // namespace

std::unique_ptr<Sampler> make_dpm_solver_pp_2m_sampler() {
  return std::make_unique<DpmSolverPp2m>();
}

}  // namespace cdm
