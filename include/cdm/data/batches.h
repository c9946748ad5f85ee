// SPDX-License-Identifier: MIT
// Batches of training images, in a random order that is a function of (seed, step).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "cdm/data/dataset.h"
#include "cdm/device/random.h"

namespace cdm {

struct Batch {
  at::Tensor images;  // [B, C, H, W], of the data set's type
  at::Tensor labels;  // int64 [B], or undefined
  at::Tensor told;    // of augment(), float32 [B, kAugmentationNumbers], or undefined
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
/// k n .. k n + n - 1 of that sequence, so that a batch may begin in one epoch and end in the next.
/// There n = B for a batch of B rows, or n = B / m when m rows in a row share an image.
///
/// The orders of the epochs that a batch may touch lie in memory of the device, and the images are
/// gathered there. So a recording (device/recorded.h) that reads the number of the step from the
/// device gathers another batch each time; the host only has to prepare() each step.
class BatchStream {
 public:
  /// Moves all images and labels to `device`; if they do not fit there, only those of each batch.
  /// `config` says how images are changed (augment()); its other keys are not used.
  /// `rows_per_image` (m) must divide `batch_size` (B).
  BatchStream(const Dataset& dataset, std::int64_t batch_size, std::uint64_t seed,
              const DataConfig& config, at::Device device, std::int64_t rows_per_image = 1);
  BatchStream(BatchStream&&) = default;  // a copy would share the memory of the orders

  /// The batch of a step, on the device. Each row is changed by itself.
  Batch at_step(std::int64_t step) { return at_step(step, 0, batch_size_); }
  /// Rows first .. first + count - 1 of that batch. A `step` on the device, an int64 scalar, must
  /// be one that was prepared, and the images must be there.
  Batch at_step(const StreamIndex& step, std::int64_t first, std::int64_t count);

  /// Draws the orders of the epochs of that step's batch, if they are not those of the step before,
  /// and copies them to the device. The host does not wait for the device.
  void prepare(std::int64_t step);

  /// Whether the images are on the device.
  bool is_on_device() const { return images_.device() == device_; }

 private:
  std::int64_t images_per_step() const { return batch_size_ / rows_per_image_; }

  at::Tensor images_, labels_;
  std::int64_t batch_size_, rows_per_image_;
  std::uint64_t seed_;
  DataConfig config_;
  at::Device device_;
  at::Tensor orders_;                 // int64 [epochs, images], beside the images
  std::vector<std::int64_t> epochs_;  // the epoch of each row of orders_; -1: none yet
};

}  // namespace cdm
