// SPDX-License-Identifier: MIT
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>

#include <cmath>
#include <limits>

#include "data/toy_kinds.h"

namespace cdm {
namespace {

class ToyUniform : public ToyDensity {
 public:
  explicit ToyUniform(const DataConfig& config) : config_(config) {}

  at::Tensor sample(std::int64_t count, Split split) const override {
    return uniform(toy_stream(Purpose::noise, split), toy_shape(config_, count), at::kFloat)
        .sub_(0.5)
        .mul_(config_.toy_width);
  }

  at::Tensor log_prob(const at::Tensor& x) const override {
    const at::Tensor rows = x.flatten(1).to(at::kCPU, at::kDouble);
    const auto d = static_cast<double>(rows.size(1));
    const double width = config_.toy_width;
    // A float32 at the edge may lie a rounding beyond it.
    const at::Tensor outside = rows.abs().amax(1).le(0.5 * width * (1.0 + 1e-6)).logical_not();
    const at::Tensor inside = at::full({rows.size(0)}, -d * std::log(width), rows.options());
    return inside.masked_fill(outside, -std::numeric_limits<double>::infinity());
  }

 private:
  DataConfig config_;
};

}  // namespace

std::unique_ptr<ToyDensity> make_toy_uniform(const DataConfig& config) {
  return std::make_unique<ToyUniform>(config);
}

}  // namespace cdm
