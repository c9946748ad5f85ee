// SPDX-License-Identifier: MIT
// A small fully connected network for studies in few dimensions: model.channels is the hidden width
// and model.res_blocks the number of hidden layers. model.fourier_features octaves of sines and
// cosines of each pixel can be added to its input (Tancik et al., arXiv:2006.10739; for likelihoods
// Kingma et al., arXiv:2107.00630): without them it is slow to learn a density with edges.
#pragma once

#include <vector>

#include "cdm/model/layers.h"
#include "cdm/model/network.h"

namespace cdm {

class Mlp final : public Network {
 public:
  Mlp(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed);

 private:
  at::Tensor forward(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                     DropoutMasks* masks) const override;
  at::Tensor features(const at::Tensor& x) const;  // [B, (1 + 2 octaves) d], d = C H W

  std::int64_t octaves_;  // frequencies pi, 2 pi, 4 pi, ... per unit of a pixel's value
  std::vector<Linear> hidden_;
  LevelHead head_;              // of logits
  Linear noise_;                // of noise, [d], "noise_layer"
  Linear time_;                 // of noise: the time embedding, added after the first layer
  at::Tensor label_embedding_;  // [num_classes + 1, width], added after the first layer
};

}  // namespace cdm
