// SPDX-License-Identifier: MIT
// Loads and stores of several neighbouring numbers at once. A GPU does it by one instruction for up
// to 16 bytes.
#pragma once

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

template <class T, int V>
CDM_INLINE void load_pack(const T* from, Sum<T> (&to)[V]) {
  const Pack<T, V> pack = *reinterpret_cast<const Pack<T, V>*>(from);
  for (int k = 0; k < V; ++k) to[k] = load(&pack.at[k]);
}

template <class T, int V>
CDM_INLINE void store_pack(T* to, const Sum<T> (&from)[V]) {
  Pack<T, V> pack;
  for (int k = 0; k < V; ++k) store(&pack.at[k], from[k]);
  *reinterpret_cast<Pack<T, V>*>(to) = pack;
}

template <class T, int V>
CDM_INLINE void copy_pack(const T* from, T* to) {
  *reinterpret_cast<Pack<T, V>*>(to) = *reinterpret_cast<const Pack<T, V>*>(from);
}

}  // namespace cdm::cuda
