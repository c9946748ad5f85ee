// SPDX-License-Identifier: MIT
#include <ATen/TensorOperators.h>
#include <ATen/ops/ge.h>

#include "cdm/device/random_rows.h"
#include "cdm/ops/ops.h"
#include "ops/dropout_mask.h"

namespace cdm::ops {
namespace {

/// Whether each element is kept: bool [B, H, W, C]. The numbers of a row follow the order of a
/// channels_last image in memory.
at::Tensor kept(const at::Tensor& x, const Dropout& dropout) {
  return uniform(dropout.rows, static_cast<std::uint64_t>(dropout.layer),
                 {x.size(0), x.size(2), x.size(3), x.size(1)})
      .ge(dropout.rate);
}

double scale(const Dropout& dropout) { return 1.0 / (1.0 - dropout.rate); }

at::Tensor as_image(const at::Tensor& mask) { return mask.permute({0, 3, 1, 2}); }

}  // namespace

at::Tensor dropout_factors(const at::Tensor& x, const Dropout& dropout) {
  return kept(x, dropout).to(x.scalar_type()).mul_(scale(dropout));
}

at::Tensor dropout(const at::Tensor& x, const Dropout& dropout) {
  if (dropout.rate <= 0.0) return x;
  if (x.scalar_type() == at::kBFloat16) {
    return (x * as_image(kept(x, dropout))).mul(scale(dropout));
  }
  return x * as_image(dropout_factors(x, dropout));
}

}  // namespace cdm::ops
