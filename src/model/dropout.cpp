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

/// Uniform numbers for the layer-th request, in the order in which channels_last holds x: [B, H, W,
/// C].
at::Tensor numbers(std::uint64_t seed, std::int64_t first_row, std::uint64_t layer,
                   const DropoutMasks::Request& request) {
  const RandomStream stream = {seed, Purpose::dropout, layer};
  const std::vector<std::int64_t>& s = request.sizes;
  const std::vector<std::int64_t> shape = {s[0], s[2], s[3], s[1]};
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(request.device);
  if (request.device.is_cpu() || own_cuda_kernels()) {
    return uniform(stream, shape, options, first_row);
  }
  at::manual_seed(derived_seed(
      {derived_seed(stream), Purpose::dropout, static_cast<std::uint64_t>(first_row)}));
  return at::rand(shape, options);
}

/// Whether each element is kept: bool [B, C, H, W].
at::Tensor mask(std::uint64_t seed, std::int64_t first_row, std::uint64_t layer,
                const DropoutMasks::Request& request) {
  return numbers(seed, first_row, layer, request).ge(request.rate).permute({0, 3, 1, 2});
}

}  // namespace

at::Tensor DropoutMasks::apply(const at::Tensor& x, double rate) {
  const std::size_t layer = requests_.size();
  requests_.push_back({x.sizes().vec(), rate, x.device()});
  TORCH_CHECK(drawn_.empty() || (layer < drawn_.size() && drawn_[layer].sizes() == x.sizes()),
              "dropout: no mask ", layer, " of ", x.sizes(), " was drawn");
  const at::Tensor kept =
      drawn_.empty() ? mask(seed_, first_row_, layer, requests_.back()) : drawn_[layer];
  const double scale = 1.0 / (1.0 - rate);
  // bfloat16 would round the scale.
  if (x.scalar_type() == at::kBFloat16) return (x * kept).mul(scale);
  return x * kept.to(x.scalar_type()).mul_(scale);
}

std::vector<at::Tensor> DropoutMasks::draw(std::uint64_t seed, std::int64_t first_row,
                                           const std::vector<Request>& requests) {
  std::vector<at::Tensor> masks;
  for (const Request& request : requests) {
    masks.push_back(mask(seed, first_row, masks.size(), request));
  }
  return masks;
}

}  // namespace cdm
