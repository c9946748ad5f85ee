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

enum class Function {
  ordered_dict,
  rebuild_tensor,  // PyTorch's, and the two after it
  rebuild_parameter,
  size,
  reconstruct_array,  // NumPy's, and the two after it
  array_class,        // an argument of reconstruct_array, not called here
  array_type,
  encode_text,  // how Python 3 writes bytes
};
struct StorageType {
  at::ScalarType type;
};
struct Storage {
  at::Tensor values;
};
/// A NumPy array before its BUILD instruction, which makes it an at::Tensor.
struct UnbuiltArray {};
/// A NumPy dtype: "u1", and the order of bytes that its BUILD instruction gives.
struct ArrayType {
  std::string name;
  std::string order;
};
struct Sequence {
  std::vector<Object> items;
  bool is_tuple;
};
struct Mapping {
  std::vector<std::pair<Object, Object>> items;
  bool is_ordered;
};
using Contents =
    std::variant<std::monostate, bool, std::int64_t, double, std::string, at::Tensor, Sequence,
                 Mapping, Function, StorageType, Storage, UnbuiltArray, ArrayType>;

using Objects = std::deque<Contents>;
using Failure = std::function<UserError(const std::string& reason)>;

/// The contents of an object. Throws the error that `fail` makes when they are of another kind than
/// T; `what` says what is due there.
template <class T>
T& expect(Objects& objects, Object object, const char* what, const Failure& fail) {
  T* const found = std::get_if<T>(&objects[object]);
  if (found == nullptr) throw fail(std::string("something else is where ") + what + " is due");
  return *found;
}

/// The items of a tuple of whole numbers.
std::vector<std::int64_t> whole_numbers(Objects& objects, Object tuple, const Failure& fail);

/// The value of an object. Objects that the pickle refers to twice are shared. Throws the error
/// that `fail` makes for loops, deep nesting, too much text, and objects that are not values.
TorchValue finish(const Objects& objects, Object object, const Failure& fail);

}  // namespace cdm::pickle
