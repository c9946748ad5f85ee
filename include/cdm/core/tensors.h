// SPDX-License-Identifier: MIT
// Tensors with names, in a fixed order. Weights, checkpoints and files are lists of these.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cdm {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// The tensors without their names, in the same order.
inline std::vector<at::Tensor> values_of(const NamedTensors& tensors) {
  std::vector<at::Tensor> values;
  values.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) values.push_back(tensor);
  return values;
}

}  // namespace cdm
