// SPDX-License-Identifier: MIT
// The UNet of DDPM (Ho et al., 2020) up to its last normalisation, and the small network that turns
// the embedding of class and time into the input of its residual blocks.
#pragma once

#include <vector>

#include "cdm/model/layers.h"
#include "cdm/model/network.h"

namespace cdm {

/// linear, SiLU, linear, SiLU: [B, in] -> [B, width]. In the authors' network every residual block
/// takes the SiLU of the embedding again; here it is taken once for all of them.
struct Embedding {
  Embedding() = default;
  Embedding(ParameterMaker& make, std::int64_t in, std::int64_t width);
  at::Tensor operator()(const at::Tensor& values) const;

  Linear dense0, dense1;  // "temb.dense.0", "temb.dense.1"
};

class UNetBody {
 public:
  UNetBody() = default;
  /// Registers "conv_in" to "norm_out". embedding_channels = 0: blocks without an embedding.
  /// Throws UserError when the image size cannot be halved once per resolution.
  UNetBody(ParameterMaker& make, const ModelConfig& config, const NetworkShape& shape,
           std::int64_t embedding_channels);

  /// images [B, C, H, W], embedding [B, embedding_channels] or undefined -> features
  /// [B, feature_channels, H, W] in the type `body`, normalised and through SiLU. Dropout acts
  /// where `masks` are given.
  at::Tensor operator()(const at::Tensor& images, at::Tensor embedding, DropoutMasks* masks,
                        at::ScalarType body) const;

  /// The dropout layers in the order of operator().
  std::vector<DropoutSite> dropout_sites() const;

  std::int64_t feature_channels() const { return norm_out_.weight.size(0); }

 private:
  struct Resolution {
    std::vector<ResBlock> blocks;
    std::vector<AttentionBlock> attention;  // one per block, or none
    Conv2d resample;                        // down- or upsampling; undefined weight at the end
  };
  struct Middle {
    std::vector<ResBlock> blocks;  // two, with the attention between them
    std::vector<AttentionBlock> attention;
  };

  NetworkShape shape_;
  Conv2d conv_in_;
  std::vector<Resolution> down_, up_;  // up_ from the finest resolution to the coarsest
  Middle middle_;
  GroupNorm norm_out_;
};

}  // namespace cdm
