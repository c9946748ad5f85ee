// SPDX-License-Identifier: MIT
#include "ops/group_norm/kernel.h"

namespace cdm::cuda {
namespace {

constexpr NormPass kPass = NormPass::double_backward;

template <class Activation, class T, bool Staged>
__global__ void __launch_bounds__(norm_threads<T>(Staged, kPass), norm_blocks<T>(Staged, kPass))
    kernel(NormLayout layout, ops::NormInput<T, Sum<T>> in, NormDropout dropout,
           ops::NormDoubleBackward<T, Sum<T>> out) {
  const DeviceBlock block{};
  NormBlock<kPass, Activation, T, Staged, DeviceBlock>(block, layout, in, dropout)
      .double_backward(out);
}

}  // namespace

template <class T>
void norm_double_backward(const NormLayout& layout, const ops::NormInput<T, Sum<T>>& in,
                          const NormDropout& dropout, const ops::NormDoubleBackward<T, Sum<T>>& out,
                          void* stream) {
  launch(kernel<ops::Silu, T, true>, kernel<ops::Silu, T, false>, kernel<ops::Identity, T, true>,
         kernel<ops::Identity, T, false>, layout, stream, in, dropout, out);
}

#define CDM_NORM_LAUNCHER(T)                                                                 \
  template void norm_double_backward<T>(const NormLayout&, const ops::NormInput<T, Sum<T>>&, \
                                        const NormDropout&,                                  \
                                        const ops::NormDoubleBackward<T, Sum<T>>&, void*);
CDM_NORM_LAUNCHER(float)
CDM_NORM_LAUNCHER(double)
CDM_NORM_LAUNCHER(Bfloat16)

}  // namespace cdm::cuda
