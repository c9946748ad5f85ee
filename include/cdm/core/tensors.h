// SPDX-License-Identifier: MIT
// Tensors with names, in a fixed order: what weights, checkpoints and files are made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cdm {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

inline std::vector<at::Tensor> values_of(const NamedTensors& tensors) {
  std::vector<at::Tensor> values;
  values.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) values.push_back(tensor);
  return values;
}

}  // namespace cdm
