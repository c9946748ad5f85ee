// SPDX-License-Identifier: MIT
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/where.h>

#include <cmath>

#include "data/toy_kinds.h"

namespace cdm {
namespace {

constexpr double kPeak = 0.5;

class ToyPeaks : public ToyDensity {
 public:
  explicit ToyPeaks(const DataConfig& config) : config_(config) {}

  at::Tensor sample(std::int64_t count, Split split) const override {
    const at::TensorOptions real = at::TensorOptions().dtype(at::kFloat);
    const at::Tensor z = normal(toy_stream(Purpose::noise, split), toy_shape(config_, count), real);
    const at::Tensor upper =
        uniform(toy_stream(Purpose::level, split), {count, 1, 1, 1}, real).lt(0.5);
    const at::Tensor centre =
        at::where(upper, at::full({}, kPeak, real), at::full({}, -kPeak, real));
    return z * config_.toy_width + centre;
  }

  at::Tensor log_prob(const at::Tensor& x) const override {
    const at::Tensor rows = x.flatten(1).to(at::kCPU, at::kDouble);
    const double width = config_.toy_width;
    return at::logaddexp(normal_log_prob(rows - kPeak, width),
                         normal_log_prob(rows + kPeak, width)) -
           std::log(2.0);
  }

 private:
  DataConfig config_;
};

}  // namespace

std::unique_ptr<ToyDensity> make_toy_peaks(const DataConfig& config) {
  return std::make_unique<ToyPeaks>(config);
}

}  // namespace cdm
