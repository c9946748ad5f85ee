// SPDX-License-Identifier: MIT
// Replaces the kernels in a build without CUDA.
#include "device/no_kernels.h"
#include "ops/group_norm/launch.h"

namespace cdm::cuda {

template <class T>
void norm_forward(const NormLayout&, const ops::NormInput<T, Sum<T>>&, const NormDropout&, double,
                  T*, void*) {
  no_kernels();
}

template <class T>
void norm_backward(const NormLayout&, const ops::NormInput<T, Sum<T>>&, const NormDropout&,
                   const ops::NormBackward<T, Sum<T>>&, void*) {
  no_kernels();
}

template <class T>
void norm_double_backward(const NormLayout&, const ops::NormInput<T, Sum<T>>&, const NormDropout&,
                          const ops::NormDoubleBackward<T, Sum<T>>&, void*) {
  no_kernels();
}

template <class S>
void norm_batch_sums(const BatchSums<S>&, std::int64_t, std::int64_t, void*) {
  no_kernels();
}

std::int64_t most_shared_memory() { no_kernels(); }

#define CDM_NORM_LAUNCHERS(T)                                                                     \
  template void norm_forward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&,              \
                                const NormDropout&, double, T*, void*);                           \
  template void norm_backward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&,             \
                                 const NormDropout&, const ops::NormBackward<T, Sum<T>>&, void*); \
  template void norm_double_backward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&,      \
                                        const NormDropout&,                                       \
                                        const ops::NormDoubleBackward<T, Sum<T>>&, void*);
CDM_NORM_LAUNCHERS(float)
CDM_NORM_LAUNCHERS(double)
CDM_NORM_LAUNCHERS(Bfloat16)
template void norm_batch_sums<float>(const BatchSums<float>&, std::int64_t, std::int64_t, void*);
template void norm_batch_sums<double>(const BatchSums<double>&, std::int64_t, std::int64_t, void*);

}  // namespace cdm::cuda
