// SPDX-License-Identifier: MIT
#include "ops/group_norm/kernel.h"

namespace cdm::cuda {
namespace {

constexpr NormPass kPass = NormPass::forward;

template <class Activation, class T, bool Staged>
__global__ void __launch_bounds__(norm_threads<T>(Staged, kPass), norm_blocks<T>(Staged, kPass))
    kernel(NormLayout layout, ops::NormInput<T, Sum<T>> in, NormDropout dropout, double eps, T* y) {
  const DeviceBlock block{};
  NormBlock<kPass, Activation, T, Staged, DeviceBlock>(block, layout, in, dropout).forward(eps, y);
}

}  // namespace

template <class T>
void norm_forward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in,
                  const NormDropout& dropout, double eps, T* y, void* stream) {
  launch(kernel<ops::Silu, T, true>, kernel<ops::Silu, T, false>, kernel<ops::Identity, T, true>,
         kernel<ops::Identity, T, false>, layout, stream, in, dropout, eps, y);
}

#define CDM_NORM_LAUNCHER(T)                                                         \
  template void norm_forward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&, \
                                const NormDropout&, double, T*, void*);
CDM_NORM_LAUNCHER(float)
CDM_NORM_LAUNCHER(double)
CDM_NORM_LAUNCHER(Bfloat16)

}  // namespace cdm::cuda
