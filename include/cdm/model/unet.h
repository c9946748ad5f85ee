// SPDX-License-Identifier: MIT
// The UNet of DDPM (Ho et al., 2020) with one of two heads.
//
//   predicts logits  the paper's classifier: no time layers, a pooled linear head with one output
//                    per noise level. A class embedding enters where DDPM's time embedding does.
//   predicts noise   DDPM's own network: a time embedding, and a head of the size of the image. The
//                    class embedding is added to the time embedding.
#pragma once

#include "cdm/model/unet_body.h"

namespace cdm {

class UNet final : public Network {
 public:
  /// Throws UserError when the image size cannot be halved once per resolution.
  UNet(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed);

  std::vector<DropoutSite> dropout_sites() const override { return body_.dropout_sites(); }

 private:
  at::Tensor forward(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                     DropoutMasks* masks) const override;
  /// The input of the residual blocks, [B, 4 channels]; undefined where there is neither class nor
  /// time.
  at::Tensor embed(const at::Tensor& t, const at::Tensor& labels) const;

  Embedding embedding_;
  UNetBody body_;
  Conv2d conv_out_;
  LevelHead head_;              // of logits
  at::Tensor label_embedding_;  // [num_classes + 1, channels]
};

}  // namespace cdm
