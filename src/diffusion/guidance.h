// SPDX-License-Identifier: MIT
// Row functions of a network, and classifier-free guidance (Ho and Salimans, 2022) of them.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <c10/core/GradMode.h>

#include <memory>
#include <utility>

#include "cdm/diffusion/row_function.h"
#include "cdm/model/network.h"

namespace cdm {

/// The network's prediction for {x, t, labels}, without an autograd graph.
inline RowFunction prediction_of(std::shared_ptr<const Network> network) {
  return [network = std::move(network)](const Tensors& in) -> Tensors {
    const c10::NoGradGuard no_grad;
    return {(*network)(in[0], in[1], in[2])};
  };
}

/// function({x, t, labels}), where t may be undefined. With guidance w, each result r becomes
/// (1 + w) r(labels) - w r(null class); both are computed in one batch of twice the size. There is
/// no guidance when w = 0, when there are no labels, or for an unconditional network.
inline Tensors with_guidance(const Network& network, const RowEvaluator& evaluate,
                             Question question, const RowFunction& function, const at::Tensor& x,
                             const at::Tensor& t, const at::Tensor& labels, double w) {
  if (w == 0.0 || !network.is_conditional() || !labels.defined()) {
    return evaluate(question, function, {x, t, labels});
  }
  const auto twice = [](const at::Tensor& a) { return a.defined() ? at::cat({a, a}) : a; };
  const at::Tensor both = at::cat({labels, at::full_like(labels, network.null_class())});
  Tensors results = evaluate(question, function, {twice(x), twice(t), both});
  const std::int64_t batch = x.size(0);
  for (at::Tensor& result : results) {
    result = (1.0 + w) * result.narrow(0, 0, batch) - w * result.narrow(0, batch, batch);
  }
  return results;
}

}  // namespace cdm
