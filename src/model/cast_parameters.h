// SPDX-License-Identifier: MIT
// The parameters of a network in the type that its body computes in, all converted at once. Layers
// converting their own parameters take two kernels for each parameter and step: one for its values
// and one for its gradient. Together it is two kernels for some fifty parameters.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "cdm/core/tensors.h"

namespace cdm {

/// The tensors in another type; differentiable any number of times.
std::vector<at::Tensor> cast_together(const std::vector<at::Tensor>& tensors, at::ScalarType type);

/// While it exists, layers that this thread evaluates find the parameters in `type`.
class CastParameters {
 public:
  CastParameters(const NamedTensors& parameters, at::ScalarType type);
  ~CastParameters();
  CastParameters(const CastParameters&) = delete;
  CastParameters& operator=(const CastParameters&) = delete;

  /// `parameter` in `type`: one of those of the newest object of this thread, otherwise converted
  /// here.
  static at::Tensor as(const at::Tensor& parameter, at::ScalarType type);

 private:
  at::Tensor find(const at::Tensor& parameter) const;

  std::vector<at::Tensor> parameters_, cast_;
  mutable std::size_t next_ = 0;  // where to look first: layers ask in the order of the parameters
  at::ScalarType type_;
  const CastParameters* before_;
};

}  // namespace cdm
