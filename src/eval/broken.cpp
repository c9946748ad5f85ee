// SPDX-License-Identifier: MIT
#include "cdm/eval/broken.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/diff.h>
#include <ATen/ops/quantile.h>
#include <c10/util/Exception.h>

#include <algorithm>

namespace cdm {

at::Tensor total_variation(const at::Tensor& images) {
  TORCH_CHECK(images.dim() == 4 && images.scalar_type() == at::kByte,
              "images are uint8 [N, C, H, W], not ", images.scalar_type(), " ", images.sizes());
  const at::Tensor pixels = images.to(at::kInt);
  const at::Tensor in_columns = pixels.diff(1, /*dim=*/2).abs().flatten(1);
  const at::Tensor in_rows = pixels.diff(1, /*dim=*/3).abs().flatten(1);
  const std::int64_t pairs = std::max<std::int64_t>(in_columns.size(1) + in_rows.size(1), 1);
  return (in_columns.sum(1) + in_rows.sum(1)).to(at::kCPU, at::kDouble) /
         static_cast<double>(pairs);
}

UsualRange usual_range(const at::Tensor& values, double share) {
  TORCH_CHECK(values.numel() > 0, "there is no range of no values");
  const double beyond = (1.0 - share) / 2.0;  // on each side
  return {at::quantile(values, beyond).item<double>(),
          at::quantile(values, 1.0 - beyond).item<double>()};
}

at::Tensor is_broken(const at::Tensor& variation, const UsualRange& range) {
  return variation.lt(range.low).logical_or(variation.gt(range.high));
}

}  // namespace cdm
