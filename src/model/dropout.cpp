// SPDX-License-Identifier: MIT
#include "cdm/model/dropout.h"

#include <ATen/ops/stack.h>

#include "cdm/device/random_rows.h"

namespace cdm {

at::Tensor DropoutMasks::rows_of(std::uint64_t seed, std::int64_t first_row, at::Device device) {
  return random_rows(seed, Purpose::dropout, first_row, device);
}

DropoutMasks DropoutMasks::beginning_at(const at::Tensor& first) const {
  return DropoutMasks(at::stack({rows_.select(0, 0), first}));
}

}  // namespace cdm
