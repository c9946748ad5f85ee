// SPDX-License-Identifier: MIT
// Checks of arrays from files, before they become tensors.
#pragma once

#include <c10/core/ScalarType.h>
#include <c10/util/ArrayRef.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace cdm {

/// The number of bytes of a contiguous array. -1 when a size is negative, or when the number of
/// bytes or one of the strides that LibTorch computes does not fit into 63 bits. (LibTorch's
/// strides count a size of 0 as 1.)
inline std::int64_t byte_count(at::ScalarType type, c10::IntArrayRef shape) {
  auto bytes = static_cast<std::int64_t>(c10::elementSize(type));
  bool is_empty = false;
  for (const std::int64_t size : shape) {
    is_empty |= size == 0;
    const std::int64_t factor = std::max<std::int64_t>(size, 1);
    if (size < 0 || __builtin_mul_overflow(bytes, factor, &bytes)) return -1;
  }
  return is_empty ? 0 : bytes;
}

/// Whether all bytes are 0 or 1. Any other value in a bool tensor is undefined behaviour.
inline bool are_truth_values(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0 || c == 1; });
}

}  // namespace cdm
