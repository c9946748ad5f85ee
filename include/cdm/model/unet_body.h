// SPDX-License-Identifier: MIT
// The UNet of DDPM (Ho et al., 2020) without its head, and the small network that transforms the
// embedding of class and time for its residual blocks.
#pragma once

#include <vector>

#include "cdm/model/layers.h"
#include "cdm/model/network.h"

namespace cdm {

/// Linear layer, SiLU, linear layer, SiLU: [B, in] -> [B, width]. The authors' residual blocks each
/// apply the last SiLU themselves; here it is applied once for all of them.
struct Embedding {
  Embedding() = default;
  Embedding(ParameterMaker& make, std::int64_t in, std::int64_t width);
  at::Tensor operator()(const at::Tensor& values) const;

  Linear dense0, dense1;  // "temb.dense.0", "temb.dense.1"
};

class UNetBody {
 public:
  UNetBody() = default;
  /// Registers the parameters "conv_in" to "norm_out". embedding_channels = 0: the blocks have no
  /// embedding. Throws UserError when the image size cannot be halved between all resolutions.
  UNetBody(ParameterMaker& make, const ModelConfig& config, const NetworkShape& shape,
           std::int64_t embedding_channels);

  /// images [B, C, H, W] and embedding [B, embedding_channels] (or undefined) -> features
  /// [B, feature_channels, H, W], after the last normalisation and SiLU. Computes in the type
  /// `body`. Dropout acts only where `masks` are given.
  at::Tensor operator()(const at::Tensor& images, at::Tensor embedding, DropoutMasks* masks,
                        at::ScalarType body) const;

  std::int64_t feature_channels() const { return norm_out_.weight.size(0); }

 private:
  struct Resolution {
    std::vector<ResBlock> blocks;
    std::vector<AttentionBlock> attention;  // one per block, or none
    Conv2d resample;                        // to the next resolution; no weight in the last one
  };
  struct Middle {
    std::vector<ResBlock> blocks;           // two,
    std::vector<AttentionBlock> attention;  // and one attention block between them
  };

  NetworkShape shape_;
  Conv2d conv_in_;
  std::vector<Resolution> down_, up_;  // each from the finest resolution to the coarsest
  Middle middle_;
  GroupNorm norm_out_;
};

}  // namespace cdm
