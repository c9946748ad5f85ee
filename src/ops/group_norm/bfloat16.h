// SPDX-License-Identifier: MIT
// Loads and stores of bfloat16 numbers, which are float in arithmetic, for the CPU and the GPU.
// float and double have the same functions, so that templates can use any of the three.
#pragma once

#include <cstdint>

#include "device/host_device.h"

namespace cdm::cuda {

struct Bfloat16 {
  std::uint16_t bits;
};

/// The type that elements of type T are computed and summed in.
template <class T>
struct SumOf {
  using type = T;
};
template <>
struct SumOf<Bfloat16> {
  using type = float;
};
template <class T>
using Sum = typename SumOf<T>::type;

CDM_INLINE float load(const float* at) { return *at; }
CDM_INLINE double load(const double* at) { return *at; }
CDM_INLINE float load(const Bfloat16* at) {
  const std::uint32_t word = static_cast<std::uint32_t>(at->bits) << 16;
  float value;
  __builtin_memcpy(&value, &word, sizeof value);
  return value;
}

CDM_INLINE void store(float* at, float value) { *at = value; }
CDM_INLINE void store(double* at, double value) { *at = value; }
/// Rounds to the nearest, ties to even. NaN stays NaN.
CDM_INLINE void store(Bfloat16* at, float value) {
  std::uint32_t word;
  __builtin_memcpy(&word, &value, sizeof word);
  const std::uint32_t rounded = (word + 0x7fffU + ((word >> 16) & 1U)) >> 16;
  at->bits = static_cast<std::uint16_t>(value != value ? 0x7fc0U : rounded);
}

}  // namespace cdm::cuda
