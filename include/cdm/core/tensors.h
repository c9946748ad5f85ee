// SPDX-License-Identifier: MIT
// Tensors with names, in a fixed order. Weights, checkpoints and files are lists of these.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <string>
#include <string_view>
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

/// The tensor with that name; undefined when there is none.
inline at::Tensor find_tensor(const NamedTensors& tensors, std::string_view name) {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) return tensor;
  }
  return {};
}

/// The tensor with that name. It is a programming error when there is none (c10::Error).
inline at::Tensor tensor_named(const NamedTensors& tensors, std::string_view name) {
  at::Tensor found = find_tensor(tensors, name);
  TORCH_CHECK(found.defined(), "there is no tensor named ", name);
  return found;
}

/// Rows first .. first + count - 1 of a batch. An undefined tensor remains undefined.
inline at::Tensor rows_of(const at::Tensor& batch, std::int64_t first, std::int64_t count) {
  return batch.defined() ? batch.narrow(0, first, count) : batch;
}

}  // namespace cdm
