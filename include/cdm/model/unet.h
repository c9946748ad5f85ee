// SPDX-License-Identifier: MIT
// The UNet of DDPM (Ho et al., 2020) with one of two heads.
//
//   predicts logits  the paper's classifier: no time embedding; features are averaged over the
//                    pixels, and a linear head has one output per noise level. A class embedding
//                    takes the place of DDPM's time embedding. With model.head = pooled_inner, the
//                    linear head also sees the means mean(x o_k(x)) of the products of the image
//                    and a convolution o_k of the features, k = 1 .. inner_features. The gradient
//                    of such a logit by x contains o_k itself, an image, as the output of an
//                    ordinary denoiser does (dual score matching, Guth et al., 2025, has an energy
//                    of this form; Salimans and Ho, 2021, compare such energies).
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
  Conv2d conv_inner_;             // head pooled_inner; no weight otherwise
  LevelHead head_;                // predicts logits: the output layer
  at::Tensor label_embedding_;    // [num_classes + 1, channels]
  at::Tensor augment_embedding_;  // [channels, A], "augment_emb.weight"; undefined for A = 0
};

}  // namespace cdm
