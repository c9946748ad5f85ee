// SPDX-License-Identifier: MIT
#include <ATen/TensorOperators.h>
#include <ATen/ops/mse_loss.h>

#include "diffusion/objectives/objectives.h"

namespace cdm {

MeanSquaredError::MeanSquaredError(const at::Tensor& eps, const at::Tensor& noise,
                                   const at::Tensor& t, const at::Tensor& level_weights,
                                   const at::Tensor& row_weights, std::int64_t rows)
    : has_level_weights_(level_weights.defined()) {
  if (!has_level_weights_ && !row_weights.defined()) {
    plain_ = weighted_ = at::mse_loss(eps, noise);
    return;
  }
  at::Tensor of_row = (eps - noise).square().flatten(1).mean(1);
  if (row_weights.defined()) of_row = of_row * row_weights;
  const auto mean = [rows](const at::Tensor& terms) {
    return terms.sum() / static_cast<double>(rows);
  };
  plain_ = mean(of_row);
  weighted_ = has_level_weights_ ? mean(of_row * level_weights.index_select(0, t)) : plain_;
}

NamedTensors MeanSquaredError::terms() const {
  NamedTensors terms = {{"mse", plain_.detach()}};
  if (has_level_weights_) terms.emplace_back("weighted_mse", weighted_.detach());
  return terms;
}

std::vector<std::string> MeanSquaredError::names(bool has_level_weights) {
  if (has_level_weights) return {"mse", "weighted_mse"};
  return {"mse"};
}

}  // namespace cdm
