// SPDX-License-Identifier: MIT
// Checks of arrays in files, before LibTorch sees them.
#pragma once

#include <c10/core/ScalarType.h>
#include <c10/util/ArrayRef.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace cdm {

/// Bytes of a contiguous array; -1 when a size is negative, or when they or the strides that
/// LibTorch computes (in which a size of 0 counts as 1) do not fit into 63 bits.
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

/// Whether the bytes are truth values: another one in a bool tensor is undefined behaviour.
inline bool are_truth_values(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0 || c == 1; });
}

}  // namespace cdm
