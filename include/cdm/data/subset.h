// SPDX-License-Identifier: MIT
// Evenly spread subsets of a data set, for estimates that need not use all images.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/data/dataset.h"

namespace cdm {

/// `count` of the numbers 0 .. size-1, ascending from 0 and evenly spread: int64 [count]. All of
/// them when `count` is 0 or at least `size`. (The first `count` images would be a poor choice: a
/// data set may be sorted by class.)
at::Tensor spread_indices(std::int64_t size, std::int64_t count);

/// The images with the given numbers (int64 [n], contiguous, on the CPU), their labels and file
/// names.
Dataset subset(Dataset dataset, const at::Tensor& numbers);

/// The images with the numbers of spread_indices().
Dataset spread_subset(Dataset dataset, std::int64_t count);

}  // namespace cdm
