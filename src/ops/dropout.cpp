// SPDX-License-Identifier: MIT
#include <ATen/TensorOperators.h>
#include <ATen/ops/ge.h>

#include "cdm/device/random_rows.h"
#include "cdm/ops/ops.h"

namespace cdm::ops {

at::Tensor dropout(const at::Tensor& x, const Dropout& dropout) {
  if (dropout.rate <= 0.0) return x;
  // The numbers of a row follow the order of a channels_last image in memory.
  const at::Tensor drawn = uniform(dropout.rows, static_cast<std::uint64_t>(dropout.layer),
                                   {x.size(0), x.size(2), x.size(3), x.size(1)});
  const at::Tensor kept = drawn.ge(dropout.rate).permute({0, 3, 1, 2});
  const double scale = 1.0 / (1.0 - dropout.rate);
  // In bfloat16, the mask cannot hold the scale: it would be rounded.
  if (x.scalar_type() == at::kBFloat16) return (x * kept).mul(scale);
  return x * kept.to(x.scalar_type()).mul_(scale);
}

}  // namespace cdm::ops
