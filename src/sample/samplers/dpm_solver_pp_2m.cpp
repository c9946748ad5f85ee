// SPDX-License-Identifier: MIT
// DPM-Solver++(2M) (Lu et al., 2022, arXiv 2211.01095, algorithm 2): a multistep method of second
// order in the prediction of x_0. With lambda = log(signal / sigma), h = lambda_s - lambda_t, and
// h' and x_0' those of the previous step,
//   x_s = (sigma_s / sigma_t) x_t - signal_s (e^-h - 1) (x_0 + (h / 2h') (x_0 - x_0'))
#include "sample/samplers/multistep.h"
#include "sample/samplers/samplers.h"

namespace cdm {
namespace {

class DpmSolverPp2m final : public MultistepSampler {
 private:
  at::Tensor second_order_step(const at::Tensor& x, const Level& t, const Level& s, const Step& now,
                               const Step& previous) const override {
    const double weight = 0.5 * now.h / previous.h;
    const at::Tensor x0 = (1.0 + weight) * now.denoised.x0 - weight * previous.denoised.x0;
    return (s.sigma / t.sigma) * x - (s.signal * std::expm1(-now.h)) * x0;
  }
};

}  // namespace

std::unique_ptr<Sampler> make_dpm_solver_pp_2m_sampler() {
  return std::make_unique<DpmSolverPp2m>();
}

}  // namespace cdm
