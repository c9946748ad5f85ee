// SPDX-License-Identifier: MIT
// DPM-Solver of second order (Lu et al., 2022, arXiv 2206.00927, section 3.2), as a multistep
// method. With lambda = log(signal / sigma) and h = lambda_s - lambda_t,
//   x_s = (signal_s / signal_t) x_t - sigma_s (e^h - 1) eps - sigma_s (e^h - 1 - h) eps'
// The derivative eps' of eps with respect to lambda is approximated by a difference: the change of
// eps since the previous step, divided by the change of lambda. The first step is DPM-Solver-1.
#include "sample/samplers/multistep.h"
#include "sample/samplers/samplers.h"

namespace cdm {
namespace {

class DpmSolver2 final : public MultistepSampler {
 private:
  at::Tensor second_order_step(const at::Tensor& x, const Level& t, const Level& s, const Step& now,
                               const Step& previous) const override {
    const double h = now.h;
    const at::Tensor slope = (now.denoised.eps - previous.denoised.eps) / previous.h;
    return (s.signal / t.signal) * x - (s.sigma * std::expm1(h)) * now.denoised.eps -
           (s.sigma * (std::expm1(h) - h)) * slope;
  }
};

}  // namespace

std::unique_ptr<Sampler> make_dpm_solver_2_sampler() { return std::make_unique<DpmSolver2>(); }

}  // namespace cdm
