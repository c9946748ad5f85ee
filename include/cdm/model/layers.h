// SPDX-License-Identifier: MIT
// The layers that networks are made of. A layer holds its parameters, and operator() applies it.
// Parameters are converted to the type of the input, so that a network can compute in bf16 while
// its weights stay float32.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "cdm/core/tensors.h"
#include "cdm/model/dropout.h"
#include "cdm/ops/ops.h"

namespace cdm {

/// Adds parameters to the list `parameters`, one after the other. The random initial values of the
/// n-th parameter are derived from (seed, n).
class ParameterMaker {
 public:
  ParameterMaker(NamedTensors& parameters, std::uint64_t seed)
      : parameters_(parameters), seed_(seed) {}

  at::Tensor constant(const std::string& name, at::IntArrayRef shape, double value);
  /// Standard normal: PyTorch's default for embeddings.
  at::Tensor normal(const std::string& name, at::IntArrayRef shape);
  /// Uniform in (-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default for convolutions and linear
  /// layers.
  at::Tensor uniform(const std::string& name, at::IntArrayRef shape, std::int64_t fan_in);

 private:
  at::Tensor add(const std::string& name, at::Tensor value);

  NamedTensors& parameters_;
  std::uint64_t seed_;
};

/// A convolution [B, in, H, W] -> [B, out, H', W'] with a square kernel and `padding` zeros on each
/// side.
struct Conv2d {
  Conv2d() = default;
  Conv2d(ParameterMaker& make, const std::string& name, std::int64_t in, std::int64_t out,
         std::int64_t kernel, std::int64_t stride = 1, std::int64_t padding = 0);
  at::Tensor operator()(const at::Tensor& x) const;
  /// For a bias that another operation adds.
  at::Tensor without_bias(const at::Tensor& x) const;

  at::Tensor weight, bias;  // [out, in, kernel, kernel], [out]
  std::int64_t stride = 1, padding = 0;
};

/// A linear layer [B, in] -> [B, out].
struct Linear {
  Linear() = default;
  Linear(ParameterMaker& make, const std::string& name, std::int64_t in, std::int64_t out);
  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight, bias;  // [out, in], [out]
};

/// The head of a classifier of noise levels: features [B, in] -> logits f [B, K]. A linear layer,
/// "linear_layer", predicts the differences between neighbouring levels; f is their cumulative sum.
struct LevelHead {
  LevelHead() = default;
  /// `from_zero`: the initial logits are 0, so that an anchored network starts as its anchor.
  LevelHead(ParameterMaker& make, std::int64_t in, std::int64_t levels, bool from_zero);
  at::Tensor operator()(const at::Tensor& features) const;

  Linear linear;
};

/// The time embedding of Ho et al. (2020): t int64 [B] -> [B, width] in the type and on the device
/// of `like`. It holds the sines of t at width / 2 frequencies, which fall geometrically from 1 to
/// 1/10000 per level, then the cosines; for an odd width, a zero follows.
at::Tensor time_embedding(const at::Tensor& t, std::int64_t width, const at::TensorOptions& like);

/// Group normalisation of [B, channels, H, W], eps 1e-6. There are 32 groups where 32 divides the
/// number of channels, else fewer, of at least about four channels each.
struct GroupNorm {
  GroupNorm() = default;
  GroupNorm(ParameterMaker& make, const std::string& name, std::int64_t channels);
  at::Tensor operator()(const at::Tensor& x) const;
  /// SiLU of the normalised input.
  at::Tensor then_silu(const at::Tensor& x, const ops::NormExtras& extras = {}) const;

  at::Tensor weight, bias;  // [channels]
  std::int64_t groups = 1;
};

/// A residual block: shortcut(x) + conv2(dropout(SiLU(norm2(conv1(SiLU(norm1(x))) + embedding)))).
/// The embedding is that of class and time.
struct ResBlock {
  /// embedding_channels = 0: no embedding.
  ResBlock(ParameterMaker& make, const std::string& name, std::int64_t in, std::int64_t out,
           std::int64_t embedding_channels, double dropout);
  /// x [B, in, H, W] -> [B, out, H, W]. `embedding` is [B, embedding_channels], after its SiLU, or
  /// undefined. `masks` is null outside training: no dropout.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& embedding,
                        DropoutMasks* masks) const;

  GroupNorm norm1, norm2;
  Conv2d conv1, conv2;
  Linear embedding_projection;  // "temb_proj"
  Conv2d shortcut;              // "nin_shortcut"; undefined weight when in == out
  double dropout;
};

/// Single-head self-attention over the pixels of [B, channels, H, W], with a residual connection.
struct AttentionBlock {
  AttentionBlock(ParameterMaker& make, const std::string& name, std::int64_t channels);
  at::Tensor operator()(const at::Tensor& x) const;

  GroupNorm norm;
  Conv2d q, k, v, proj_out;
};

}  // namespace cdm
