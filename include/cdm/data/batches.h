// SPDX-License-Identifier: MIT
// Batches of training images, in a random order that is a function of (seed, step).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/data/dataset.h"
#include "cdm/device/random.h"

namespace cdm {

struct Batch {
  at::Tensor images;  // [B, C, H, W], of the data set's type
  at::Tensor labels;  // int64 [B], or undefined
};

/// uint8 pixels u to the model's scale [-1, 1]: u / 255 * 2 - 1. Floating-point images are in the
/// model's scale already; only their type is changed.
at::Tensor to_unit_range(const at::Tensor& pixels, at::ScalarType type);

/// As to_unit_range() for Dequantization::none. For Dequantization::uniform, uint8 pixels u become
/// (u + U[0, 1)) / 128 - 1; image i gets the noise of row first_row + i of `stream`.
at::Tensor to_model_scale(const at::Tensor& pixels, at::ScalarType type,
                          Dequantization dequantization, const RandomStream& stream,
                          std::int64_t first_row = 0);

/// The inverse of to_unit_range(): clamps to [-1, 1], then scales and rounds to uint8.
at::Tensor to_pixels(const at::Tensor& images);

/// An endless sequence of training batches. Each epoch goes through the whole data set in a random
/// order of its own. The epochs follow each other without a gap, and step k takes images
/// k B .. k B + B - 1 of that sequence, so that a batch may begin in one epoch and end in the next.
class BatchStream {
 public:
  /// Moves all images to `device`; if they do not fit there, only the images of each batch.
  BatchStream(const Dataset& dataset, std::int64_t batch_size, std::uint64_t seed,
              bool horizontal_flip, at::Device device);

  /// The batch of a step, on the device. With `horizontal_flip`, each image is mirrored left to
  /// right with probability 1/2.
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
  std::int64_t epoch_ = -1;  // the epoch whose order is in order_
  at::Tensor order_;
};

}  // namespace cdm
