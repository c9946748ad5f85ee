// SPDX-License-Identifier: MIT
// Python's pickles of protocol 2: the one inside a .pth file, without the archive around it, and
// those of NumPy arrays.
// https://github.com/python/cpython/blob/main/Lib/pickletools.py describes the instructions.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cdm/io/torch_file.h"

namespace cdm {

/// The PyTorch class that stands for a type of storage. (A storage is the memory of one or more
/// tensors. It has a key, and is a member of its own in the archive.)
struct StorageName {
  std::string_view name;  // in module torch
  at::ScalarType type;
};
inline constexpr std::array<StorageName, 10> kStorageNames = {{{"DoubleStorage", at::kDouble},
                                                               {"FloatStorage", at::kFloat},
                                                               {"HalfStorage", at::kHalf},
                                                               {"BFloat16Storage", at::kBFloat16},
                                                               {"LongStorage", at::kLong},
                                                               {"IntStorage", at::kInt},
                                                               {"ShortStorage", at::kShort},
                                                               {"CharStorage", at::kChar},
                                                               {"ByteStorage", at::kByte},
                                                               {"BoolStorage", at::kBool}}};

/// Returns the storage `key` as a tensor [count] of type `type`. Throws UserError when the file
/// does not have that storage, or has it in another size.
using StorageReader =
    std::function<at::Tensor(const std::string& key, at::ScalarType type, std::int64_t count)>;

/// The value of a pickle. Throws UserError, beginning with `source`, when the pickle is cut short
/// or contains something that is not read here.
TorchValue parse_pickle(std::string_view bytes, const StorageReader& storages,
                        const std::string& source);

/// The value of a pickle of NumPy arrays, text, numbers, lists, tuples and dicts, as Python 2 or 3
/// writes it by protocol 2. Arrays are read as read_npy() reads them; text and bytes are both text
/// here. Throws UserError as parse_pickle() does.
TorchValue parse_numpy_pickle(std::string_view bytes, const std::string& source);

/// Adds the storage of a contiguous CPU tensor to the file and returns its key.
using StorageWriter = std::function<std::string(const at::Tensor& contiguous)>;

/// The pickle of a value.
std::string make_pickle(const TorchValue& value, const StorageWriter& storages);

}  // namespace cdm
