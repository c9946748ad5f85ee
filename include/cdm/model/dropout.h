// SPDX-License-Identifier: MIT
// The dropout of one pass over the rows of a batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "cdm/ops/ops.h"

namespace cdm {

/// The dropout masks of the rows (images) of one batch, layer by layer.
///
/// The mask of row i in the k-th dropout layer is a function of (seed, first_row + i, k) and of the
/// position in the row. It depends neither on the processor, nor on own_cuda_kernels, nor on how a
/// batch is cut into parts.
class DropoutMasks {
 public:
  /// Masks for images on `device`.
  DropoutMasks(std::uint64_t seed, std::int64_t first_row, at::Device device)
      : DropoutMasks(rows_of(seed, first_row, device)) {}
  /// Masks by a result of rows_of(). A recording (device/recorded.h) takes it as an input.
  explicit DropoutMasks(at::Tensor rows) : rows_(std::move(rows)) {}

  /// What identifies the masks, in the memory of the device: int64 [2] (device/random_rows.h).
  static at::Tensor rows_of(std::uint64_t seed, std::int64_t first_row, at::Device device);

  /// The masks of this batch's dropout for other rows: those from row `first` on, an int64 scalar
  /// on the device. They begin with the first layer.
  DropoutMasks beginning_at(const at::Tensor& first) const;

  /// Dropout in the next layer, with this rate.
  ops::Dropout next(double rate) { return {rate, rows_, layer_++}; }

 private:
  at::Tensor rows_;
  std::int64_t layer_ = 0;  // number of the next layer
};

}  // namespace cdm
