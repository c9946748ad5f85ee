// SPDX-License-Identifier: MIT
// PyTorch's .pth files, as torch.save writes them since PyTorch 1.6: a zip archive with a pickle in
// it. Unpickling in Python runs code that the file names. This reader runs none: a file may contain
// only lists, tuples, dicts, numbers, text and tensors, and anything else is an error.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cdm {

struct TorchList;
struct TorchDict;
using TorchKey = std::variant<std::int64_t, std::string>;

/// One object of such a file. Copies share their lists and dicts, which cannot be changed.
class TorchValue {
 public:
  TorchValue() = default;  // None
  TorchValue(bool value) : value_(value) {}
  TorchValue(int value) : value_(std::int64_t{value}) {}
  TorchValue(std::int64_t value) : value_(value) {}
  TorchValue(double value) : value_(value) {}
  TorchValue(const char* value) : value_(std::string(value)) {}
  TorchValue(std::string value) : value_(std::move(value)) {}
  TorchValue(at::Tensor value) : value_(std::move(value)) {}
  TorchValue(TorchList value);
  TorchValue(TorchDict value);

  bool is_none() const { return std::holds_alternative<std::monostate>(value_); }
  /// Points to the value if its type is T (bool, std::int64_t, double, std::string, at::Tensor,
  /// TorchList or TorchDict); otherwise null.
  template <class T>
  const T* get() const {
    if constexpr (std::is_same_v<T, TorchList> || std::is_same_v<T, TorchDict>) {
      const auto* const shared = std::get_if<std::shared_ptr<const T>>(&value_);
      return shared == nullptr ? nullptr : shared->get();
    } else {
      return std::get_if<T>(&value_);
    }
  }

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, at::Tensor,
               std::shared_ptr<const TorchList>, std::shared_ptr<const TorchDict>>
      value_;
};

/// A list, or a tuple (a torch.Size becomes a tuple).
struct TorchList {
  std::vector<TorchValue> items;
  bool is_tuple = false;
};

/// A dict or an OrderedDict. Keys are whole numbers or text, unique, and in the file's order.
struct TorchDict {
  std::vector<std::pair<TorchKey, TorchValue>> items;
  bool is_ordered = false;

  /// The value of `key`, or null when there is none.
  const TorchValue* find(const TorchKey& key) const;
};

/// Reads a .pth file. Tensors are on the CPU; those that shared memory when they were saved share
/// memory here. Throws UserError, naming the file, when it cannot be read, is damaged, is of the
/// format before PyTorch 1.6, or contains something that is not read: other Python objects and
/// functions, or tensors that repeat elements of their storage (expanded ones).
TorchValue read_torch(const std::filesystem::path& path);

/// Parses the bytes of such a file. Messages begin with `source`.
TorchValue parse_torch(std::string bytes, const std::string& source);

/// Writes a file that torch.load(path, weights_only=True) opens: under a temporary name beside
/// `path`, then renamed.
void write_torch(const std::filesystem::path& path, const TorchValue& value);

}  // namespace cdm
