// SPDX-License-Identifier: MIT
// Muon: momentum whose matrices are made nearly orthogonal (Jordan et al., 2024, "Muon: An
// optimizer for hidden layers in neural networks", https://kellerjordan.github.io/posts/muon).
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"

namespace cdm {

/// The matrices [..., rows, cols] with their singular values moved near 1 (0.68 to 1.13, but for
/// values below about 1/1000 of the matrix's norm) and their singular vectors kept: five
/// Newton-Schulz steps X <- a X + (b A + c A A) X, A = X X^T, with a = 3.4445, b = -4.7750, c =
/// 2.0315. On a GPU, float32 is computed in bfloat16.
at::Tensor orthogonalised(const at::Tensor& matrices);

/// Whether Muon, not Adam, updates a parameter: with train.optimizer = muon, matrices and
/// convolution kernels of hidden layers. The first and the last layer, biases, normalisations and
/// class embeddings are Adam's.
bool is_for_muon(const TrainConfig& config, const std::string& name, const at::Tensor& value);

/// Updates those of the parameters for which is_for_muon(). A convolution kernel [out, in, h, w] is
/// taken as a matrix [out, in h w]. With gradient G, weights W and momentum M, which starts at 0:
///
///   M <- mu M + (1 - mu) G,   U = mu M + (1 - mu) G   (Nesterov; mu = muon_momentum)
///   W <- (1 - rate weight_decay) W - rate 0.2 sqrt(max(rows, cols)) orthogonalised(U)
///
/// The factor 0.2 sqrt(max(rows, cols)) gives the update the size that Adam's usually has, so that
/// Adam's learning rate and weight decay can be kept (Liu et al., 2025, "Muon is Scalable for LLM
/// Training", arXiv 2502.16982).
class Muon {
 public:
  Muon(const NamedTensors& parameters, const TrainConfig& config);

  /// Whether there is nothing to update.
  bool is_empty() const { return groups_.empty(); }

  /// One update. `gradients` are those of all parameters given to the constructor, in their order.
  /// Each is multiplied by `clip` first, if that is given. All others are scalars on the
  /// parameters' device, which the host does not read: when `skipped` is 1, nothing changes.
  void step(const std::vector<at::Tensor>& gradients, const at::Tensor& learning_rate,
            const at::Tensor& skipped, const at::Tensor& clip = {});

  /// The momenta of the parameters that are updated, under their names and in their shapes. Their
  /// tensors are Muon's own, not copies.
  NamedTensors momenta() const;

 private:
  /// Matrices of one shape, which are orthogonalised together.
  struct Group {
    std::vector<std::size_t> parameters;  // their numbers
    std::vector<at::Tensor> values;
    at::Tensor momentum;  // [parameters, rows, cols]
  };

  NamedTensors parameters_;
  std::vector<Group> groups_;
  double momentum_, weight_decay_;
};

}  // namespace cdm
