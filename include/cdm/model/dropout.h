// SPDX-License-Identifier: MIT
// The dropout masks of one training step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace cdm {

/// A dropout layer of a network: the size of its input, and the share of it that is set to zero.
struct DropoutSite {
  std::int64_t channels, height, width;
  double rate;
};

/// On the CPU, and on a GPU with own_cuda_kernels, the mask that row i gets in the k-th dropout
/// layer is a function of (seed, first_row + i, k): a batch may be cut up in any way. On a GPU
/// without own_cuda_kernels it is a function of (seed, first_row, k) and of the number of rows.
class DropoutMasks {
 public:
  /// Draws each mask when its layer asks for it.
  DropoutMasks(std::uint64_t seed, std::int64_t first_row) : seed_(seed), first_row_(first_row) {}
  /// Hands out masks that were drawn before, in order.
  explicit DropoutMasks(std::vector<at::Tensor> drawn) : drawn_(std::move(drawn)) {}

  /// x [B, C, H, W] with a share `rate` of its elements set to zero and the others multiplied by
  /// 1 / (1 - rate).
  at::Tensor apply(const at::Tensor& x, double rate);

  /// The masks of `rows` rows for all these layers, in order: bool [B, C, H, W], true where an
  /// element is kept. They are the masks that DropoutMasks(seed, first_row) draws.
  static std::vector<at::Tensor> draw(std::uint64_t seed, std::int64_t first_row, std::int64_t rows,
                                      const std::vector<DropoutSite>& sites, at::Device device);

 private:
  std::uint64_t seed_ = 0;
  std::int64_t first_row_ = 0;
  std::vector<at::Tensor> drawn_;
  std::uint64_t layer_ = 0;  // the number of the next layer
};

}  // namespace cdm
