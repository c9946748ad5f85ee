// SPDX-License-Identifier: MIT
// The denoising diffusion model (DDM) that the paper compares with: the same UNet with a time
// embedding and an image-sized head that predicts the noise (Ho et al., 2020).
#pragma once

#include "cdm/model/unet_body.h"

namespace cdm {

class DdmUNet final : public NoiseNetwork {
 public:
  /// Throws UserError when the image size cannot be halved once per resolution.
  DdmUNet(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed);

  at::Tensor noise(const at::Tensor& images, const at::Tensor& t, const at::Tensor& labels,
                   DropoutMasks* masks) const override;

 private:
  Embedding embedding_;
  UNetBody body_;
  Conv2d conv_out_;
  at::Tensor label_embedding_;  // [num_classes + 1, channels], added to the time's
};

/// Sines and cosines of t at `width` / 2 frequencies from 1 to 1/10000 each: t int64 [B] ->
/// [B, width] like `like` (Ho et al., 2020; an odd width ends in a zero).
at::Tensor time_embedding(const at::Tensor& t, std::int64_t width, const at::TensorOptions& like);

}  // namespace cdm
