// SPDX-License-Identifier: MIT
// A part of a data set that stands for all of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/data/dataset.h"

namespace cdm {

/// `count` (0 = all, at most `size`) of the numbers 0..size-1, evenly spread and ascending,
/// beginning with 0: int64. Data sets may be sorted by class, and their first images of one class.
at::Tensor spread_indices(std::int64_t size, std::int64_t count);

/// The images of `dataset` with these numbers (int64 [n]), and their labels.
Dataset subset(Dataset dataset, const at::Tensor& numbers);

/// Those of spread_indices.
Dataset spread_subset(Dataset dataset, std::int64_t count);

}  // namespace cdm
