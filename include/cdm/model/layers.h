// SPDX-License-Identifier: MIT
// The layers that networks are made of: parameters and how they act. Parameters are converted to
// their input's type, so that a bf16 body keeps float32 master weights.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cdm/core/tensors.h"
#include "cdm/model/dropout.h"

namespace cdm {

/// Registers named parameters, one after the other, with PyTorch's default initial values.
/// The n-th parameter's numbers are derived from (seed, n).
class ParameterMaker {
 public:
  ParameterMaker(NamedTensors& parameters, std::uint64_t seed)
      : parameters_(parameters), seed_(seed) {}

  at::Tensor constant(const std::string& name, at::IntArrayRef shape, double value);
  at::Tensor normal(const std::string& name, at::IntArrayRef shape);
  /// Uniform in (-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default for convolutions and linears.
  at::Tensor uniform(const std::string& name, at::IntArrayRef shape, std::int64_t fan_in);

 private:
  at::Tensor add(const std::string& name, at::Tensor value);

  NamedTensors& parameters_;
  std::uint64_t seed_;
};

/// [B, in, H, W] -> [B, out, H', W'], with a square kernel and zero padding on every side.
struct Conv2d {
  Conv2d() = default;
  Conv2d(ParameterMaker& make, const std::string& name, std::int64_t in, std::int64_t out,
         std::int64_t kernel, std::int64_t stride = 1, std::int64_t padding = 0);
  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight, bias;  // [out, in, kernel, kernel], [out]
  std::int64_t stride = 1, padding = 0;
};

/// [B, in] -> [B, out]
struct Linear {
  Linear() = default;
  Linear(ParameterMaker& make, const std::string& name, std::int64_t in, std::int64_t out);
  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight, bias;  // [out, in], [out]
};

/// The head of a classifier of noise levels: a linear layer, "linear_layer", whose outputs are
/// summed cumulatively over the levels. [B, in] -> the logits f [B, K].
struct LevelHead {
  LevelHead() = default;
  LevelHead(ParameterMaker& make, std::int64_t in, std::int64_t levels);
  at::Tensor operator()(const at::Tensor& features) const;

  Linear linear;
};

/// Sines and cosines of t at `width` / 2 frequencies from 1 to 1/10000 each: t int64 [B] ->
/// [B, width] like `like` (Ho et al., 2020; an odd width ends in a zero).
at::Tensor time_embedding(const at::Tensor& t, std::int64_t width, const at::TensorOptions& like);

/// Group normalisation with 32 groups (fewer, of about four channels or more, for widths that 32
/// does not divide), eps 1e-6.
struct GroupNorm {
  GroupNorm() = default;
  GroupNorm(ParameterMaker& make, const std::string& name, std::int64_t channels);
  at::Tensor operator()(const at::Tensor& x) const;
  /// SiLU of the normalised input.
  at::Tensor then_silu(const at::Tensor& x) const;

  at::Tensor weight, bias;  // [channels]
  std::int64_t groups = 1;
};

/// norm, SiLU, conv, (+ class embedding), norm, SiLU, dropout, conv, + shortcut.
struct ResBlock {
  /// embedding_channels = 0: no class embedding.
  ResBlock(ParameterMaker& make, const std::string& name, std::int64_t in, std::int64_t out,
           std::int64_t embedding_channels, double dropout);
  /// x [B, in, H, W], embedding [B, embedding_channels] after its SiLU, or undefined; masks null
  /// outside training.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& embedding,
                        DropoutMasks* masks) const;
  /// The block's dropout layer, for images of `size` pixels a side; none where dropout is 0.
  void add_dropout_site(std::int64_t size, std::vector<DropoutSite>& sites) const;

  GroupNorm norm1, norm2;
  Conv2d conv1, conv2;
  Linear embedding_projection;  // "temb_proj"
  Conv2d shortcut;              // "nin_shortcut"; undefined weight when in == out
  double dropout;
};

/// Single-head self-attention over the pixels, with a residual connection.
struct AttentionBlock {
  AttentionBlock(ParameterMaker& make, const std::string& name, std::int64_t channels);
  at::Tensor operator()(const at::Tensor& x) const;

  GroupNorm norm;
  Conv2d q, k, v, proj_out;
};

}  // namespace cdm
