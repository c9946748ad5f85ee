// SPDX-License-Identifier: MIT
#include "cdm/model/anchor.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {

at::Tensor cosine_transform(std::int64_t size) {
  const auto options = at::TensorOptions().dtype(at::kDouble);
  const at::Tensor k = at::arange(size, options).unsqueeze(1);
  const at::Tensor place = (at::arange(size, options) + 0.5) / static_cast<double>(size);
  at::Tensor rows =
      (k * place * std::numbers::pi).cos() * std::sqrt(2.0 / static_cast<double>(size));
  rows.select(0, 0).mul_(std::numbers::sqrt2 / 2.0);
  return rows;
}

Anchor::Anchor(const at::Tensor& signal, const at::Tensor& sigma)
    : signal_(signal), sigma_(sigma) {}

void Anchor::load(const NamedTensors& statistics, const std::string& source) {
  const auto take = [&](const char* name, bool is_needed = true) {
    const at::Tensor found = find_tensor(statistics, concat(kPrefix, name));
    if (!found.defined() && is_needed) {
      throw UserError(
          concat(source, ": ", kPrefix, name, " is missing, and model.anchor = gaussian needs it"));
    }
    return found.defined() ? found.detach().to(signal_.device(), at::kDouble) : found;
  };
  const auto require = [&](const at::Tensor& tensor, const char* name, at::IntArrayRef sizes) {
    if (tensor.sizes() == sizes) return;
    throw UserError(
        concat(source, ": ", kPrefix, name, " is ", tensor.sizes(), " instead of ", sizes));
  };
  mean_ = take("mean");
  const std::int64_t d = mean_.numel();
  require(mean_, "mean", {d});
  const at::Tensor variances = take("variances");
  require(variances, "variances", {d});
  basis_ = take("basis", /*is_needed=*/false);
  if (basis_.defined()) {
    require(basis_, "basis", {d, d});
  } else {
    channels_ = take("channels");
    const std::int64_t C = channels_.dim() == 2 ? std::max<std::int64_t>(channels_.size(0), 1) : 1;
    require(channels_, "channels", {C, C});
    const auto size = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(d / C))));
    require(mean_, "mean", {C * size * size});
    cosines_ = cosine_transform(size).to(signal_.device());
  }
  statistics_.clear();
  for (const auto& [name, tensor] : statistics) {
    statistics_.emplace_back(name, tensor.detach().to(signal_.device(), at::kDouble));
  }

  const at::Tensor spread =
      variances.unsqueeze(1) * signal_.square() + sigma_.square();  // s_tj, [d, K]
  const at::Tensor shift = rotated(mean_).unsqueeze(1) * (1.0 - signal_);
  precision_ = spread.reciprocal();
  linear_ = -shift * precision_;
  constant_ = (shift.square() * precision_ + spread.log()).sum(0).mul(-0.5) -
              0.5 * static_cast<double>(d) * std::log(2.0 * std::numbers::pi);
}

at::Tensor Anchor::rotated(const at::Tensor& x) const {
  if (basis_.defined()) return at::matmul(x, basis_);
  const std::int64_t C = channels_.size(0), size = cosines_.size(0);
  const at::Tensor images = x.reshape({-1, C, size, size});
  const at::Tensor waves = at::matmul(at::matmul(cosines_, images), cosines_.t());
  // The channels of every pixel are mixed.
  return at::matmul(channels_.t(), waves.flatten(2)).reshape(x.sizes());
}

at::Tensor Anchor::operator()(const at::Tensor& x) const {
  TORCH_CHECK(mean_.defined(), "the anchor has no statistics: Network::load() sets them");
  const at::Tensor u = rotated(x.flatten(1).to(at::kDouble) - mean_);
  return at::matmul(u.square(), precision_).mul(-0.5) + at::matmul(u, linear_) + constant_;
}

void Anchor::to(at::Device device) {
  for (at::Tensor* const tensor : {&signal_, &sigma_, &mean_, &basis_, &channels_, &cosines_,
                                   &precision_, &linear_, &constant_}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
  for (auto& [name, tensor] : statistics_) tensor = tensor.to(device);
}

}  // namespace cdm
