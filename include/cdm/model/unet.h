// SPDX-License-Identifier: MIT
// The UNet of the paper: that of DDPM (Ho et al., 2020) without its time layers, and with a
// pooled linear head instead of an image. The class embedding enters where time did.
#pragma once

#include <vector>

#include "cdm/model/layers.h"
#include "cdm/model/network.h"

namespace cdm {

class UNet final : public Network {
 public:
  /// Throws UserError when the image size cannot be halved once per resolution.
  UNet(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed);

  at::Tensor head(const at::Tensor& images, const at::Tensor& labels,
                  DropoutMasks* masks) const override;

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

  at::Tensor embed(const at::Tensor& labels) const;

  Linear embedding_dense0_, embedding_dense1_;
  at::Tensor label_embedding_;  // [num_classes + 1, channels]
  Conv2d conv_in_, conv_out_;
  std::vector<Resolution> down_, up_;  // up_ from the finest resolution to the coarsest
  Middle middle_;
  GroupNorm norm_out_;
  Linear linear_;
};

}  // namespace cdm
