// SPDX-License-Identifier: MIT
// Tensors with names, in a fixed order: what weights, checkpoints and files are made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cdm {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

}  // namespace cdm
