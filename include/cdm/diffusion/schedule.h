// SPDX-License-Identifier: MIT
// The noise levels. The one owner of how many there are and of how much noise each holds.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/config/config.h"

namespace cdm {

/// Levels t = 0 .. K-1: x_t = signal_t x_0 + sigma_t eps. Level 0 is the data (signal 1, sigma 0).
/// The last is the reference, a standard normal whose density is known (signal 0, sigma 1). The
/// ratio of signal to sigma falls from each level to the next.
///
///   linear         K = T+2, signal = sqrt(abar), sigma = sqrt(1 - abar), abar_t = prod (1 - beta)
///                  of T betas from beta_start to beta_end (Ho et al., 2020)
///   cosine         K = T+2, abar_t = g(t / (T+1)) / g(0), g(u) = cos^2(pi/2 (u + s) / (1 + s)),
///                  s = 0.008 (Nichol and Dhariwal, 2021; there u = t/T, with the last beta cut
///                  off, here g reaches 0 at the reference by itself)
///   uniform        K = T+2, sigma = t / (T+1), signal = sqrt(1 - sigma^2) (Rhodes et al., 2020)
///   flow_matching  K = T+1, signal = 1 - t/T, sigma = t/T (Lipman et al., 2023: the OT path)
class NoiseSchedule {
 public:
  /// Throws UserError for a schedule it does not know, and where a level between data and reference
  /// has no image left, or no more noise than the one before (beta_end = 1, beta_start = 0).
  explicit NoiseSchedule(const DiffusionConfig& config);

  std::int64_t steps() const { return steps_; }  // T
  std::int64_t levels() const { return signal_.size(0); }
  std::int64_t reference_level() const { return levels() - 1; }

  /// The level whose prediction serves at level t: t itself or, at a reference, where the image
  /// can't be told from the noise, the level before it.
  std::int64_t denoising_level(std::int64_t t) const;

  /// signal_t and sigma_t of one level.
  double signal(std::int64_t t) const;
  double sigma(std::int64_t t) const;

  /// Moves the tables to where they will be used, so that no call has to copy them.
  void to(const at::TensorOptions& options);

  /// signal_t and sigma_t for each image: [B, 1, 1, 1] in the type and on the device of `like`, for
  /// levels t int64 [B] in 0..K-1.
  at::Tensor signal(const at::Tensor& t, const at::Tensor& like) const;
  at::Tensor sigma(const at::Tensor& t, const at::Tensor& like) const;

  /// x_t of images x0 [B, C, H, W], levels t [B] and noise [B, C, H, W].
  at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& t, const at::Tensor& noise) const;

 private:
  std::int64_t steps_;
  at::Tensor signal_, sigma_;                // float64 [K], CPU
  at::Tensor placed_signal_, placed_sigma_;  // the same where they are used
};

}  // namespace cdm
