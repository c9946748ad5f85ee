// SPDX-License-Identifier: MIT
// An anchor: a density in closed form, at every noise level, that a network starts from.
//
// The logits of an anchored network are f_t(x) = log a_t(x) + what the network adds, where a_t is
// the density that the anchor gives to images of level t. A network that adds nothing is then
// already an exact model: its density is a_0, and by Theorem 3.1 its denoiser is the best one for
// images with that density. Training only has to find what the images have and the anchor lacks.
// (Peers parametrise energies in the same way: Thornton et al., 2025, arXiv 2502.12786.)
//
// Gaussian anchor, with the mean m and covariance C of the training images x_0:
//   a_t = N(signal_t m, signal_t^2 C + sigma_t^2 I)
// Its denoiser is the Wiener filter. With the eigenvectors V and eigenvalues v of C, and with
// u = V'(x - m) and w = V'm, both [d], and s_t = signal_t^2 v + sigma_t^2:
//   log a_t(x) = -1/2 sum_j ( (u_j + (1 - signal_t) w_j)^2 / s_tj + log s_tj ) - d/2 log(2 pi)
//
// Everything is computed in float64. Images hardly vary in some directions (the border of
// Fashion-MNIST is black), so that (.)^2 / s_tj divides a small difference by a tiny variance:
// float32 would be wrong there by whole nats.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <string>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"

namespace cdm {

/// Whether a network has an anchor: only logits have one.
inline bool has_anchor(const ModelConfig& config) {
  return config.anchor != AnchorKind::none && config.predicts == Prediction::logits;
}

class Anchor {
 public:
  /// Levels t = 0 .. K-1 with signal_t and sigma_t, float64 [K]. Until load(), the anchor has no
  /// statistics and cannot be evaluated.
  Anchor(const at::Tensor& signal, const at::Tensor& sigma);

  /// The statistics of the training images, float64, on any device:
  ///   anchor.mean [d], anchor.variances [d], and
  ///   anchor.basis [d, d], whose columns are the directions of the variances; or, for images of
  ///   more than kMostDimensions numbers, anchor.channels [C, C], the directions of the channels;
  ///   rows and columns of pixels then go through the discrete cosine transform.
  /// Throws UserError, naming `source`, when one is missing or of another shape.
  void load(const NamedTensors& statistics, const std::string& source);
  /// What load() was given; empty before.
  const NamedTensors& statistics() const { return statistics_; }

  /// log a_t(x) in nats of images x [B, C, H, W], for every level: float64 [B, K]. It has
  /// derivatives of any order by x.
  at::Tensor operator()(const at::Tensor& x) const;

  void to(at::Device device);

  /// The prefix of the names of statistics: "anchor.".
  static constexpr const char* kPrefix = "anchor.";
  /// The largest d for which all eigenvectors are kept: d = C H W.
  static constexpr std::int64_t kMostDimensions = 4096;

 private:
  /// V'x of rows x [B, d] or [d].
  at::Tensor rotated(const at::Tensor& x) const;

  at::Tensor signal_, sigma_;  // [K]
  NamedTensors statistics_;
  // Made of the statistics, all float64. Without a basis, `basis_` is undefined.
  at::Tensor mean_, basis_, channels_, cosines_;
  at::Tensor precision_;  // 1 / s_tj, [d, K]
  at::Tensor linear_;     // -(1 - signal_t) w_j / s_tj, [d, K]
  at::Tensor constant_;   // the rest, [K]
};

/// The orthonormal discrete cosine transform (DCT-II) of `size` values as a matrix: row k holds the
/// k-th cosine. float64 [size, size], on the CPU.
at::Tensor cosine_transform(std::int64_t size);

}  // namespace cdm
