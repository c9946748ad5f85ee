// SPDX-License-Identifier: MIT
// A judge of classes that owes nothing to the models it judges: the nearest training images.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cdm {

/// The class of most of the k nearest of `images` [M, d] with labels int64 [M], by Euclidean
/// distance, for each of `queries` [N, d]; among equals the smallest class. int64 [N]. 1 <= k <= M.
at::Tensor nearest_class(const at::Tensor& queries, const at::Tensor& images,
                         const at::Tensor& labels, std::int64_t k);

}  // namespace cdm
