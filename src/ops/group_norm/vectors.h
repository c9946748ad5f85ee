// SPDX-License-Identifier: MIT
// Loads and stores of K neighbouring elements at a time, by as few and as wide accesses as possible
// (16 bytes at most). The address must be a multiple of min(16, K * sizeof(T)).
#pragma once

#include <type_traits>

#include "ops/group_norm/bfloat16.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#endif

// Before a loop whose length is known to the compiler.
#ifdef __CUDACC__
#define CDM_UNROLL_ALL _Pragma("unroll")
#else
#define CDM_UNROLL_ALL
#endif

namespace cdm::cuda {

constexpr int kVectorBytes = 16;

/// `Bytes` bytes of memory as words. nvcc reads a structure of such words by one instruction, but
/// may cut one of smaller numbers into single ones.
template <int Bytes>
struct alignas(Bytes < kVectorBytes ? Bytes : kVectorBytes) Words {
  using Word = std::conditional_t<Bytes % 4 == 0, std::uint32_t, std::uint16_t>;
  Word words[Bytes / sizeof(Word)];
};

template <int K, class T>
CDM_INLINE void load_vector(const T* at, Sum<T> (&out)[K]) {
  const auto vector = *reinterpret_cast<const Words<K * sizeof(T)>*>(at);
  T elements[K];
  __builtin_memcpy(elements, &vector, sizeof vector);
  CDM_UNROLL_ALL
  for (int k = 0; k < K; ++k) out[k] = load(elements + k);
}

template <int K, class T>
CDM_INLINE void store_vector(T* at, const Sum<T> (&values)[K]) {
  Words<K * sizeof(T)> vector;
#ifdef __CUDA_ARCH__
  if constexpr (std::is_same_v<T, Bfloat16> && K % 2 == 0) {
    CDM_UNROLL_ALL
    for (int k = 0; k < K; k += 2) {  // one instruction rounds two numbers
      const __nv_bfloat162 pair = __floats2bfloat162_rn(values[k], values[k + 1]);
      __builtin_memcpy(vector.words + k / 2, &pair, sizeof pair);
    }
  } else
#endif
  {
    T elements[K];
    CDM_UNROLL_ALL
    for (int k = 0; k < K; ++k) store(elements + k, values[k]);
    __builtin_memcpy(&vector, elements, sizeof vector);
  }
  *reinterpret_cast<Words<K * sizeof(T)>*>(at) = vector;
}

}  // namespace cdm::cuda
