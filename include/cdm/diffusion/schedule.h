// SPDX-License-Identifier: MIT
// The noise levels: how many there are, and how much image and noise each holds. No other code
// computes these numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/config/config.h"

namespace cdm {

/// At level t = 0 .. K-1, x_t = signal_t x_0 + sigma_t eps, with image x_0 and standard normal eps.
/// Level 0 is the data (signal 1, sigma 0). The last level is the reference, a standard normal,
/// whose density is known (signal 0, sigma 1). signal / sigma falls from each level to the next.
///
///   linear         K = T+2, signal = sqrt(abar), sigma = sqrt(1 - abar), abar_t = the product of
///                  1 - beta over the first t of T betas, which grow linearly from beta_start to
///                  beta_end (Ho et al., 2020)
///   cosine         K = T+2, abar_t = g(t / (T+1)) / g(0), g(u) = cos^2(pi/2 (u + s) / (1 + s)),
///                  s = 0.008 (Nichol and Dhariwal, 2021; they have u = t/T and limit the last
///                  beta, here g is 0 at the reference level)
///   uniform        K = T+2, sigma = t / (T+1), signal = sqrt(1 - sigma^2) (Rhodes et al., 2020)
///   log_snr        K = T+2, levels 1..T have log-SNRs l = log(signal^2 / sigma^2) at even
///   distances
///                  from log_snr_max to log_snr_min, and signal^2 = sigmoid(l), sigma^2 =
///                  sigmoid(-l): the variance-preserving path of Kingma et al. (2021), with a
///                  straight line for their gamma(t) = -l
///   flow_matching  K = T+1, signal = 1 - t/T, sigma = t/T (Lipman et al., 2023: the OT path)
class NoiseSchedule {
 public:
  /// Throws UserError when a level between data and reference has signal 0 (as with beta_end = 1),
  /// or no less signal than the level before it (as with beta_start = 0).
  explicit NoiseSchedule(const DiffusionConfig& config);

  std::int64_t steps() const { return steps_; }            // T
  std::int64_t levels() const { return signal_.size(0); }  // K
  std::int64_t reference_level() const { return levels() - 1; }

  /// The level at which the network is asked to denoise an image of level t. It is t itself, except
  /// at the reference level, which holds no image to predict: there it is the level before.
  std::int64_t denoising_level(std::int64_t t) const;

  /// signal_t and sigma_t of all levels: float64 [K], on the CPU.
  const at::Tensor& signals() const { return signal_; }
  const at::Tensor& sigmas() const { return sigma_; }
  /// signal_t and sigma_t of one level.
  double signal(std::int64_t t) const;
  double sigma(std::int64_t t) const;
  /// log(signal_t^2 / sigma_t^2): infinite at the data, minus infinity at the reference level.
  double log_snr(std::int64_t t) const;

  /// The weight of each level in the trapezoidal rule for an integral over the log-SNR between the
  /// first and the last level with both image and noise: float64 [K], CPU, 0 for the ends 0 and R.
  /// The sum is the difference of these two log-SNRs.
  at::Tensor log_snr_weights() const;

  /// Copies the tables to the device and type in which they will be used, so that later calls need
  /// not copy them.
  void to(const at::TensorOptions& options);

  /// Where to() has put the tables.
  at::TensorOptions options() const { return placed_signal_.options(); }

  /// signal_t and sigma_t for each image: [B, 1, 1, 1] in the type and on the device of `like`, for
  /// levels t int64 [B] in 0..K-1.
  at::Tensor signal(const at::Tensor& t, const at::Tensor& like) const;
  at::Tensor sigma(const at::Tensor& t, const at::Tensor& like) const;

  /// x_t [B, C, H, W] of images x0 [B, C, H, W], levels t int64 [B] and noise [B, C, H, W].
  at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& t, const at::Tensor& noise) const;

 private:
  std::int64_t steps_;
  at::Tensor signal_, sigma_;                // float64 [K], CPU
  at::Tensor placed_signal_, placed_sigma_;  // the copies that to() makes
};

}  // namespace cdm
