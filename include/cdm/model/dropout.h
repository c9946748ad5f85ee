// SPDX-License-Identifier: MIT
// The random zeros of one training step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace cdm {

/// What row i gets in the k-th layer that asks depends on (seed, first_row + i, k) only on the CPU
/// and with own_cuda_kernels, so a batch may be cut up; otherwise on (seed, first_row, k).
class DropoutMasks {
 public:
  /// A layer's request: a mask for x [B, C, H, W].
  struct Request {
    std::vector<std::int64_t> sizes;
    double rate;
    at::Device device;
  };

  DropoutMasks(std::uint64_t seed, std::int64_t first_row) : seed_(seed), first_row_(first_row) {}
  /// Masks drawn before, handed out in turn.
  explicit DropoutMasks(std::vector<at::Tensor> drawn) : drawn_(std::move(drawn)) {}

  /// x [B, C, H, W] with a share `rate` of zeros, the rest scaled by 1 / (1 - rate).
  at::Tensor apply(const at::Tensor& x, double rate);

  /// All requests until now, in order.
  const std::vector<Request>& requests() const { return requests_; }

  /// The masks for these requests, in order, true where x is kept: those of DropoutMasks(seed,
  /// first_row).
  static std::vector<at::Tensor> draw(std::uint64_t seed, std::int64_t first_row,
                                      const std::vector<Request>& requests);

 private:
  std::uint64_t seed_ = 0;
  std::int64_t first_row_ = 0;
  std::vector<at::Tensor> drawn_;
  std::vector<Request> requests_;
};

}  // namespace cdm
