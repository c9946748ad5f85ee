// SPDX-License-Identifier: MIT
// The classifier of the paper: the UNet of DDPM without its time layers, and with a pooled linear
// head instead of an image. The class embedding enters where time did.
#pragma once

#include "cdm/model/unet_body.h"

namespace cdm {

class UNet final : public ClassifierNetwork {
 public:
  /// Throws UserError when the image size cannot be halved once per resolution.
  UNet(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed);

  at::Tensor head(const at::Tensor& images, const at::Tensor& labels,
                  DropoutMasks* masks) const override;

 private:
  Embedding embedding_;
  UNetBody body_;
  Conv2d conv_out_;
  Linear linear_;
  at::Tensor label_embedding_;  // [num_classes + 1, channels]
};

}  // namespace cdm
