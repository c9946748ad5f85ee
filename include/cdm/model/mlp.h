// SPDX-License-Identifier: MIT
// A small fully connected network for studies in few dimensions. It has model.res_blocks hidden
// layers of width model.channels.
//
// With model.fourier_features = n, sin(2^k pi x) and cos(2^k pi x), k = 0..n-1, of each pixel x are
// added to its input (Tancik et al., arXiv:2006.10739; for likelihoods Kingma et al.,
// arXiv:2107.00630). Without them, the network is slow to learn a density with sharp edges.
#pragma once

#include <vector>

#include "cdm/model/layers.h"
#include "cdm/model/network.h"

namespace cdm {

class Mlp final : public Network {
 public:
  Mlp(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed);

 private:
  at::Tensor forward(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                     DropoutMasks* masks) const override;
  /// The input of the first layer: pixels and their Fourier features, [B, (1 + 2 n) d], d = C H W.
  at::Tensor features(const at::Tensor& x) const;

  std::int64_t octaves_;  // n: the angular frequencies are pi, 2 pi, 4 pi, ... per unit of a pixel
  std::vector<Linear> hidden_;
  LevelHead head_;                // predicts logits: the output layer
  Linear noise_;                  // predicts noise: the output layer, "noise_layer", [B, d]
  Linear time_;                   // predicts noise: of the time embedding, added after layer 1
  at::Tensor label_embedding_;    // [num_classes + 1, width], added after layer 1
  at::Tensor augment_embedding_;  // [width, A], likewise, as in a UNet; undefined for A = 0
};

}  // namespace cdm
