// SPDX-License-Identifier: MIT
// The objects that a pickle's instructions make and change, before they become TorchValues.
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

// The number of an object. Objects refer to each other by number, because a pickle may make loops.
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

/// The value of an object. Objects that the pickle refers to twice are shared. Throws the error
/// that `fail` makes for loops, deep nesting, too much text, and objects that are not values.
TorchValue finish(const Objects& objects, Object object, const Failure& fail);

}  // namespace cdm::pickle
