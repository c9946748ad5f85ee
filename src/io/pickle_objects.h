// SPDX-License-Identifier: MIT
// What a pickle's instructions make, before it becomes values that never change.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/io/torch_file.h"

namespace cdm::pickle {

// Objects refer to each other by their number, since a pickle may make loops.
using Object = std::uint32_t;

enum class Function { ordered_dict, rebuild_tensor, rebuild_parameter, size };
struct StorageType {
  at::ScalarType type;
};
struct Storage {
  at::Tensor values;
};
struct Sequence {
  std::vector<Object> items;
  bool is_tuple;
};
struct Mapping {
  std::vector<std::pair<Object, Object>> items;
  bool is_ordered;
};
using Contents = std::variant<std::monostate, bool, std::int64_t, double, std::string, at::Tensor,
                              Sequence, Mapping, Function, StorageType, Storage>;

using Objects = std::deque<Contents>;
using Failure = std::function<UserError(const std::string& reason)>;

/// The finished value of an object, shared where the pickle shares it. Throws what `fail` makes for
/// loops, deep nesting and whatever is no value.
TorchValue finish(const Objects& objects, Object object, const Failure& fail);

}  // namespace cdm::pickle
