// SPDX-License-Identifier: MIT
// A nearest-neighbour classifier of images. It is independent of the models that it is used to
// judge.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cdm {

/// The class, int64 [N], of each of `queries` [N, d]: the most frequent one among its k nearest
/// `images` [M, d], 1 <= k <= M, by Euclidean distance. `labels`, int64 [M], are the classes of
/// `images`. When several classes are equally frequent, the smallest is returned.
at::Tensor nearest_class(const at::Tensor& queries, const at::Tensor& images,
                         const at::Tensor& labels, std::int64_t k);

}  // namespace cdm
