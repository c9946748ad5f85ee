// SPDX-License-Identifier: MIT
// A small fully connected classifier for low-dimensional studies: model.channels is the hidden
// width, model.res_blocks the number of hidden layers, model.fourier_features the octaves of
// Fourier features of its input (Tancik et al., arXiv:2006.10739; for likelihoods Kingma et al.,
// arXiv:2107.00630): without them it is slow to learn a density with edges.
#pragma once

#include <vector>

#include "cdm/model/layers.h"
#include "cdm/model/network.h"

namespace cdm {

class Mlp final : public ClassifierNetwork {
 public:
  Mlp(const ModelConfig& config, const NetworkShape& shape, std::uint64_t seed);

  at::Tensor head(const at::Tensor& images, const at::Tensor& labels,
                  DropoutMasks* masks) const override;

 private:
  at::Tensor features(const at::Tensor& images) const;  // [N, (1 + 2 octaves) d]

  std::int64_t octaves_;  // of the input's sines and cosines: pi, 2 pi, 4 pi, ... a unit of pixels
  std::vector<Linear> hidden_;
  Linear output_;
  at::Tensor label_embedding_;  // [num_classes + 1, width], added after the first layer
};

}  // namespace cdm
