// SPDX-License-Identifier: MIT
// Batches of images, in an order derived from (seed, step).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/data/dataset.h"
#include "cdm/device/random.h"

namespace cdm {

struct Batch {
  at::Tensor images;  // [B, C, H, W], as the data set has them
  at::Tensor labels;  // int64 [B], or undefined
};

/// uint8 pixels to [-1, 1]: u / 255 * 2 - 1. Values that are no pixels are left as they are.
at::Tensor to_unit_range(const at::Tensor& pixels, at::ScalarType type);

/// The same for Dequantization::none; (u + U[0, 1)) / 128 - 1 for Dequantization::uniform, where
/// row i of `pixels` gets the noise of row first_row + i of `stream`. Values that are no pixels are
/// left as they are.
at::Tensor to_model_scale(const at::Tensor& pixels, at::ScalarType type,
                          Dequantization dequantization, const RandomStream& stream,
                          std::int64_t first_row = 0);

/// The inverse, rounded to the nearest and clamped: [-1, 1] to uint8.
at::Tensor to_pixels(const at::Tensor& images);

/// An endless sequence of training batches. Step k takes images k*B .. k*B + B - 1 of a sequence
/// made of one random order of the data set after another, each used once in full.
class BatchStream {
 public:
  /// Moves the whole data set to `device` when it fits there, and batches only otherwise.
  BatchStream(const Dataset& dataset, std::int64_t batch_size, std::uint64_t seed,
              bool horizontal_flip, at::Device device);

  /// Images on the device, some mirrored left to right where flips are on.
  Batch at_step(std::int64_t step) { return at_step(step, 0, batch_size_); }
  /// Rows first .. first + count - 1 of that batch.
  Batch at_step(std::int64_t step, std::int64_t first, std::int64_t count);

 private:
  const at::Tensor& order_of_epoch(std::int64_t epoch);

  at::Tensor images_, labels_;
  std::int64_t batch_size_;
  std::uint64_t seed_;
  bool horizontal_flip_;
  at::Device device_;
  std::int64_t epoch_ = -1;  // whose order is kept in order_
  at::Tensor order_;
};

}  // namespace cdm
