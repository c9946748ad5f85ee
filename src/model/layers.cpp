// SPDX-License-Identifier: MIT
#include "cdm/model/layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "cdm/device/random.h"
#include "cdm/ops/flops.h"
#include "cdm/ops/ops.h"
#include "model/cast_parameters.h"

namespace cdm {
namespace {

constexpr std::int64_t kGroups = 32;
constexpr double kGroupNormEps = 1e-6;

/// 32 where it divides the channels, as in the authors' networks. Otherwise a common divisor of 32
/// and the channels that leaves about four channels in a group or more: with a single channel in a
/// group, the normalisation would subtract the class embedding again.
std::int64_t group_count(std::int64_t channels) {
  if (channels % kGroups == 0) return kGroups;
  return std::gcd(std::gcd(kGroups, channels), std::max<std::int64_t>(channels / 4, 1));
}

at::Tensor like(const at::Tensor& parameter, const at::Tensor& x) {
  return CastParameters::as(parameter, x.scalar_type());
}

/// A parameter of a normalisation, which stays float32 where x is bfloat16.
at::Tensor precise(const at::Tensor& parameter, const at::Tensor& x) {
  return parameter.to(x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type());
}

}  // namespace

at::Tensor ParameterMaker::add(const std::string& name, at::Tensor value) {
  parameters_.emplace_back(name, std::move(value));
  return parameters_.back().second;
}

at::Tensor ParameterMaker::constant(const std::string& name, at::IntArrayRef shape, double value) {
  return add(name, at::full(shape, value, at::kFloat));
}

at::Tensor ParameterMaker::normal(const std::string& name, at::IntArrayRef shape) {
  const RandomStream stream = {seed_, Purpose::parameters, parameters_.size()};
  return add(name, cdm::normal(stream, shape, at::kFloat));
}

at::Tensor ParameterMaker::uniform(const std::string& name, at::IntArrayRef shape,
                                   std::int64_t fan_in) {
  const RandomStream stream = {seed_, Purpose::parameters, parameters_.size()};
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  return add(name, cdm::uniform(stream, shape, at::kFloat).mul_(2.0 * bound).sub_(bound));
}

Conv2d::Conv2d(ParameterMaker& make, const std::string& name, std::int64_t in, std::int64_t out,
               std::int64_t kernel, std::int64_t stride, std::int64_t padding)
    : stride(stride), padding(padding) {
  const std::int64_t fan_in = in * kernel * kernel;
  weight = make.uniform(name + ".weight", {out, in, kernel, kernel}, fan_in);
  bias = make.uniform(name + ".bias", {out}, fan_in);
}

at::Tensor Conv2d::operator()(const at::Tensor& x) const {
  return ops::conv2d(x, like(weight, x), like(bias, x), stride, padding);
}

at::Tensor Conv2d::without_bias(const at::Tensor& x) const {
  return ops::conv2d(x, like(weight, x), {}, stride, padding);
}

Linear::Linear(ParameterMaker& make, const std::string& name, std::int64_t in, std::int64_t out)
    : weight(make.uniform(name + ".weight", {out, in}, in)),
      bias(make.uniform(name + ".bias", {out}, in)) {}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  ops::FlopCounter::add(2 * x.numel() * weight.size(0));
  return at::linear(x, like(weight, x), like(bias, x));
}

LevelHead::LevelHead(ParameterMaker& make, std::int64_t in, std::int64_t levels, bool from_zero)
    : linear(make, "linear_layer", in, levels) {
  if (!from_zero) return;
  linear.weight.zero_();
  linear.bias.zero_();
}

at::Tensor LevelHead::operator()(const at::Tensor& features) const {
  return linear(features).cumsum(1);
}

at::Tensor time_embedding(const at::Tensor& t, std::int64_t width, const at::TensorOptions& like) {
  const std::int64_t half = width / 2;
  const double decay = std::log(10000.0) / static_cast<double>(std::max<std::int64_t>(half - 1, 1));
  const at::Tensor frequencies = (at::arange(half, like) * -decay).exp();
  const at::Tensor angles = t.to(like.dtype()).unsqueeze(1) * frequencies.unsqueeze(0);
  const at::Tensor values = at::cat({angles.sin(), angles.cos()}, 1);
  return width % 2 == 0 ? values : at::constant_pad_nd(values, {0, 1});
}

GroupNorm::GroupNorm(ParameterMaker& make, const std::string& name, std::int64_t channels)
    : weight(make.constant(name + ".weight", {channels}, 1.0)),
      bias(make.constant(name + ".bias", {channels}, 0.0)),
      groups(group_count(channels)) {}

at::Tensor GroupNorm::operator()(const at::Tensor& x) const {
  return ops::group_norm(x, precise(weight, x), precise(bias, x), groups, kGroupNormEps);
}

at::Tensor GroupNorm::then_silu(const at::Tensor& x, const ops::NormExtras& extras) const {
  return ops::group_norm_silu(x, precise(weight, x), precise(bias, x), groups, kGroupNormEps,
                              extras);
}

ResBlock::ResBlock(ParameterMaker& make, const std::string& name, std::int64_t in, std::int64_t out,
                   std::int64_t embedding_channels, double dropout)
    : dropout(dropout) {
  norm1 = GroupNorm(make, name + ".norm1", in);
  conv1 = Conv2d(make, name + ".conv1", in, out, 3, 1, 1);
  if (embedding_channels > 0) {
    embedding_projection = Linear(make, name + ".temb_proj", embedding_channels, out);
  }
  norm2 = GroupNorm(make, name + ".norm2", out);
  conv2 = Conv2d(make, name + ".conv2", out, out, 3, 1, 1);
  if (in != out) shortcut = Conv2d(make, name + ".nin_shortcut", in, out, 1);
}

at::Tensor ResBlock::operator()(const at::Tensor& x, const at::Tensor& embedding,
                                DropoutMasks* masks) const {
  // The second normalisation adds the bias of conv1 and the embedding in passing.
  at::Tensor shift = conv1.bias.unsqueeze(0);
  if (embedding.defined()) shift = shift + embedding_projection(embedding);
  ops::NormExtras extras = {precise(shift, x), {}};
  if (masks != nullptr && dropout > 0.0) extras.dropout = masks->next(dropout);
  at::Tensor h = norm2.then_silu(conv1.without_bias(norm1.then_silu(x)), extras);
  h = conv2.without_bias(h);
  if (!shortcut.weight.defined()) return ops::residual_sum(x, h, conv2.bias);
  return ops::residual_sum(shortcut.without_bias(x), h, conv2.bias, shortcut.bias);
}

AttentionBlock::AttentionBlock(ParameterMaker& make, const std::string& name, std::int64_t channels)
    : norm(make, name + ".norm", channels),
      q(make, name + ".q", channels, channels, 1),
      k(make, name + ".k", channels, channels, 1),
      v(make, name + ".v", channels, channels, 1),
      proj_out(make, name + ".proj_out", channels, channels, 1) {}

at::Tensor AttentionBlock::operator()(const at::Tensor& x) const {
  const at::Tensor h = norm(x);
  // One product for the three.
  const at::Tensor weight = at::cat({q.weight, k.weight, v.weight});
  const at::Tensor bias = at::cat({q.bias, k.bias, v.bias});
  const at::Tensor values = ops::attention(ops::conv2d(h, like(weight, h), like(bias, h), 1, 0));
  return ops::residual_sum(x, proj_out.without_bias(values), proj_out.bias);
}

}  // namespace cdm
