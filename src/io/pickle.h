// SPDX-License-Identifier: MIT
// The pickle inside a .pth file, apart from the archive around it. PyTorch writes protocol 2:
// https://github.com/python/cpython/blob/main/Lib/pickletools.py describes each instruction.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cdm/io/torch_file.h"

namespace cdm {

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

/// Gives the storage of that key as a tensor [count] of that type; throws UserError when the file
/// has no such bytes.
using StorageReader =
    std::function<at::Tensor(const std::string& key, at::ScalarType type, std::int64_t count)>;

/// Throws UserError, beginning with `source`, for anything but a whole pickle of known things.
TorchValue parse_pickle(std::string_view bytes, const StorageReader& storages,
                        const std::string& source);

/// Takes a tensor into the file and returns its storage's key.
using StorageWriter = std::function<std::string(const at::Tensor& contiguous)>;

std::string make_pickle(const TorchValue& value, const StorageWriter& storages);

}  // namespace cdm
