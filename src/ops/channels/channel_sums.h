// SPDX-License-Identifier: MIT
#pragma once

#include <ATen/core/Tensor.h>

namespace cdm::ops {

/// The sums of x [B, C, H, W] over images and pixels: [C], float32 where x is bfloat16, else in the
/// type of x. It is linear in x and can be differentiated any number of times.
at::Tensor channel_sums(const at::Tensor& x);

}  // namespace cdm::ops
