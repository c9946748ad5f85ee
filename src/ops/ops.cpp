// SPDX-License-Identifier: MIT
#include "cdm/ops/ops.h"

#include <ATen/ops/bmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>

#include <cmath>

namespace cdm::ops {

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t stride, std::int64_t padding) {
  return at::conv2d(x, weight, bias, stride, padding);
}

at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      std::int64_t groups, double eps, bool silu) {
  const at::Tensor normalised = at::group_norm(x, groups, weight, bias, eps);
  return silu ? at::silu(normalised) : normalised;
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(1)));
  const at::Tensor queries = q.flatten(2).transpose(1, 2);                          // [B, HW, C]
  const at::Tensor weights = at::bmm(queries, k.flatten(2)).mul(scale).softmax(2);  // [B, HW, HW]
  return at::bmm(v.flatten(2), weights.transpose(1, 2)).view_as(q);
}

}  // namespace cdm::ops
