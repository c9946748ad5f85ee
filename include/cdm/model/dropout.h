// SPDX-License-Identifier: MIT
// The dropout masks of one training step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace cdm {

/// A dropout layer of a network: the size of its input, and the probability that an element is set
/// to zero.
struct DropoutSite {
  std::int64_t channels, height, width;
  double rate;
};

/// The dropout masks of the rows (images) of one batch, layer by layer.
///
/// On the CPU, and on a GPU with own_cuda_kernels, the mask of row i in the k-th dropout layer is a
/// function of (seed, first_row + i, k). It does not depend on how a batch is cut into parts. On a
/// GPU without own_cuda_kernels, ATen draws the masks of all rows at once: they are a function of
/// (seed, first_row, k) and of the number of rows.
class DropoutMasks {
 public:
  /// Draws the mask of a layer when apply() needs it.
  DropoutMasks(std::uint64_t seed, std::int64_t first_row) : seed_(seed), first_row_(first_row) {}
  /// Uses masks that draw() has made, one per call of apply(), in order.
  explicit DropoutMasks(std::vector<at::Tensor> drawn)
      : is_drawn_(true), drawn_(std::move(drawn)) {}

  /// Dropout in the next layer: x [B, C, H, W] with each element set to zero with probability
  /// `rate`, and the others multiplied by 1 / (1 - rate).
  at::Tensor apply(const at::Tensor& x, double rate);

  /// The masks of `rows` rows in all layers `sites`, in order: bool [rows, C, H, W] each, true
  /// where an element is kept. They equal the masks that DropoutMasks(seed, first_row) draws.
  static std::vector<at::Tensor> draw(std::uint64_t seed, std::int64_t first_row, std::int64_t rows,
                                      const std::vector<DropoutSite>& sites, at::Device device);

 private:
  std::uint64_t seed_ = 0;
  std::int64_t first_row_ = 0;
  bool is_drawn_ = false;
  std::vector<at::Tensor> drawn_;
  std::uint64_t layer_ = 0;  // number of the next layer
};

}  // namespace cdm
