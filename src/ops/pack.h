// SPDX-License-Identifier: MIT
// Loads and stores of several neighbouring numbers at once. A GPU does it by one instruction for up
// to 16 bytes.
#pragma once

#include <cstdint>
#include <type_traits>

#include "ops/group_norm/bfloat16.h"

namespace cdm::cuda {

/// The numbers in 16 bytes.
template <class T>
constexpr int kPackWidth = static_cast<int>(16 / sizeof(T));

/// V numbers of type T. Its address must be a multiple of its size.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T at[V];
};

#ifdef __CUDACC__
/// What is read and written: nvcc may cut a structure of several numbers into single ones.
template <class T, int V>
using PackWords = std::conditional_t<sizeof(Pack<T, V>) == 16, uint4, Pack<T, V>>;
#else
template <class T, int V>
using PackWords = Pack<T, V>;
#endif

template <class T, int V>
CDM_INLINE void copy_pack(const T* from, T* to) {
  *reinterpret_cast<PackWords<T, V>*>(to) = *reinterpret_cast<const PackWords<T, V>*>(from);
}

template <class T, int V>
CDM_INLINE void load_pack(const T* from, Sum<T> (&to)[V]) {
  Pack<T, V> pack;
  copy_pack<T, V>(from, pack.at);
  for (int k = 0; k < V; ++k) to[k] = load(&pack.at[k]);
}

template <class T, int V>
CDM_INLINE void store_pack(T* to, const Sum<T> (&from)[V]) {
  Pack<T, V> pack;
  for (int k = 0; k < V; ++k) store(&pack.at[k], from[k]);
  copy_pack<T, V>(pack.at, to);
}

/// Whether rows of `columns` numbers, in arrays that begin there, can be read and written by 16
/// bytes.
template <class T, class... Arrays>
bool packs_fit(std::int64_t columns, const Arrays*... arrays) {
  const auto aligned = [](const void* array) {
    return reinterpret_cast<std::uintptr_t>(array) % 16 == 0;
  };
  return columns % kPackWidth<T> == 0 && (aligned(arrays) && ...);
}

}  // namespace cdm::cuda
