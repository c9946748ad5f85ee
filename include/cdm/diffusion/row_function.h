// SPDX-License-Identifier: MIT
// How a model evaluates its network on a batch. By default it calls the network once. The
// evaluators in inference/ divide the rows of a batch among threads, or replay a recorded CUDA
// graph. The formulas in diffusion/ do not depend on this choice.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace cdm {

using Tensors = std::vector<at::Tensor>;

/// A function of a batch. Row i of each result depends only on row i of the inputs. Inputs may be
/// undefined tensors. Results are detached.
using RowFunction = std::function<Tensors(const Tensors& inputs)>;

/// What a row function computes. For one model, a question always means the same function, so an
/// evaluator may keep one recording per question.
enum class Question { logits, log_ratio_gradient, noise };

class RowEvaluator {
 public:
  virtual ~RowEvaluator() = default;
  /// Returns function(inputs).
  virtual Tensors operator()(Question question, const RowFunction& function,
                             const Tensors& inputs) const = 0;
};

}  // namespace cdm
