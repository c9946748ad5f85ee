// SPDX-License-Identifier: MIT
// PyTorch's .pth files, as torch.save writes them since 1.6 (a zip archive with a pickle in it),
// read without running anything: what a file may ask for is a short list of containers, numbers,
// text and tensors.
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

/// One object of such a file. Lists and dicts are shared between copies and never change.
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
  /// The value, when it is a T: bool, std::int64_t, double, std::string, at::Tensor, TorchList or
  /// TorchDict. Null when it is something else.
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

/// A list, or a tuple (torch.Size is one).
struct TorchList {
  std::vector<TorchValue> items;
  bool is_tuple = false;
};

/// A dict, or an OrderedDict, whose keys are numbers and text, in their order. No key comes twice.
struct TorchDict {
  std::vector<std::pair<TorchKey, TorchValue>> items;
  bool is_ordered = false;

  /// The value of that key, or null.
  const TorchValue* find(const TorchKey& key) const;
};

/// Reads a .pth file; tensors are on the CPU, and share memory where they did when saved. Throws
/// UserError, naming the file, when it is damaged, of the old format without a zip archive, or asks
/// for anything outside the list: Python objects and functions, tensors that repeat elements.
TorchValue read_torch(const std::filesystem::path& path);

/// The same of a file's bytes; messages begin with `source`.
TorchValue parse_torch(std::string bytes, const std::string& source);

/// Writes a file that torch.load(path, weights_only=True) opens: beside `path`, then renamed.
void write_torch(const std::filesystem::path& path, const TorchValue& value);

}  // namespace cdm
