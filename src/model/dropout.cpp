// SPDX-License-Identifier: MIT
#include "cdm/model/dropout.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/rand.h>
#include <c10/util/Exception.h>

#include "cdm/device/cuda_kernels.h"
#include "cdm/device/random.h"

namespace cdm {
namespace {

/// Uniform numbers in [0, 1) for dropout layer number `layer`: [B, H, W, C] for `sizes`
/// [B, C, H, W], because a channels_last tensor has that order in memory.
at::Tensor numbers(std::uint64_t seed, std::int64_t first_row, std::uint64_t layer,
                   at::IntArrayRef sizes, at::Device device) {
  const RandomStream stream = {seed, Purpose::dropout, layer};
  const std::vector<std::int64_t> shape = {sizes[0], sizes[2], sizes[3], sizes[1]};
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(device);
  if (device.is_cpu() || own_cuda_kernels()) return uniform(stream, shape, options, first_row);
  at::manual_seed(derived_seed(
      {derived_seed(stream), Purpose::dropout, static_cast<std::uint64_t>(first_row)}));
  return at::rand(shape, options);
}

/// Whether each element is kept: bool [B, C, H, W].
at::Tensor mask(std::uint64_t seed, std::int64_t first_row, std::uint64_t layer,
                at::IntArrayRef sizes, double rate, at::Device device) {
  return numbers(seed, first_row, layer, sizes, device).ge(rate).permute({0, 3, 1, 2});
}

}  // namespace

at::Tensor DropoutMasks::apply(const at::Tensor& x, double rate) {
  const std::uint64_t layer = layer_++;
  TORCH_CHECK(!is_drawn_ || (layer < drawn_.size() && drawn_[layer].sizes() == x.sizes()),
              "dropout layer ", layer, " of ", x.sizes(), " is not among Network::dropout_sites()");
  const at::Tensor kept =
      !is_drawn_ ? mask(seed_, first_row_, layer, x.sizes(), rate, x.device()) : drawn_[layer];
  const double scale = 1.0 / (1.0 - rate);
  // In bfloat16, the mask cannot hold the scale: it would be rounded.
  if (x.scalar_type() == at::kBFloat16) return (x * kept).mul(scale);
  return x * kept.to(x.scalar_type()).mul_(scale);
}

std::vector<at::Tensor> DropoutMasks::draw(std::uint64_t seed, std::int64_t first_row,
                                           std::int64_t rows, const std::vector<DropoutSite>& sites,
                                           at::Device device) {
  std::vector<at::Tensor> masks;
  for (const DropoutSite& site : sites) {
    masks.push_back(mask(seed, first_row, masks.size(),
                         {rows, site.channels, site.height, site.width}, site.rate, device));
  }
  return masks;
}

}  // namespace cdm
