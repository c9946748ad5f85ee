// SPDX-License-Identifier: MIT
// The UNet of DDPM (Ho et al., 2020) with one of two heads.
//
//   predicts logits  the paper's classifier: no time embedding; features are averaged over the
//                    pixels, and a linear head has one output per noise level. A class embedding
//                    takes the place of DDPM's time embedding.
//   predicts noise   DDPM's own network: a time embedding, and an output of the size of the image.
//                    A class embedding is added to the time embedding.
//
// A network that is told how training images were augmented adds a linear function of these
// numbers, without a bias, to the embeddings (Karras et al., 2022). It is 0 for images that were
// not augmented.
#pragma once

#include "cdm/model/unet_body.h"

namespace cdm {

class UNet final : public Network {
 public:
  /// Throws UserError when the image size cannot be halved between all resolutions, of which there
  /// must be at least one (settle_resolutions()).
  UNet(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed);

 private:
  at::Tensor forward(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                     DropoutMasks* masks) const override;
  /// The embedding that the residual blocks add, [B, 4 channels]; undefined when the network has
  /// neither classes nor levels nor augmentations as input.
  at::Tensor embed(const at::Tensor& t, const Condition& given) const;

  Embedding embedding_;
  UNetBody body_;
  Conv2d conv_out_;
  LevelHead head_;                // predicts logits: the output layer
  at::Tensor label_embedding_;    // [num_classes + 1, channels]
  at::Tensor augment_embedding_;  // [channels, A], "augment_emb.weight"; undefined for A = 0
};

}  // namespace cdm
