// SPDX-License-Identifier: MIT
// How a model evaluates its network on a batch. By default it simply calls it. Wrappers in
// inference/ share the rows out among threads, or replay a recording of the work on a GPU; the
// formulas in diffusion/ need not know.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace cdm {

using Tensors = std::vector<at::Tensor>;

/// A function of a batch: row i of each result depends on row i of the inputs alone. Inputs may be
/// undefined tensors. Results are detached.
using RowFunction = std::function<Tensors(const Tensors& inputs)>;

/// What a row function computes. One question always means the same function of one model, so an
/// evaluator may keep a recording for each.
enum class Question { logits, log_ratio_gradient, noise };

class RowEvaluator {
 public:
  virtual ~RowEvaluator() = default;
  /// function(inputs).
  virtual Tensors operator()(Question question, const RowFunction& function,
                             const Tensors& inputs) const = 0;
};

}  // namespace cdm
