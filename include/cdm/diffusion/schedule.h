// SPDX-License-Identifier: MIT
// The noise levels. The one owner of how many there are and of how much noise each holds.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/config.h"

namespace cdm {

/// Levels t = 0 .. T+1: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, with abar_0 = 1 (data) and
/// abar_{T+1} = 0 (a standard normal, the reference whose density is known).
class NoiseSchedule {
 public:
  /// Throws UserError for a schedule it does not know.
  explicit NoiseSchedule(const DiffusionConfig& config);

  std::int64_t steps() const { return steps_; }       // T
  std::int64_t levels() const { return steps_ + 2; }  // K
  std::int64_t reference_level() const { return steps_ + 1; }

  /// abar_t of one level.
  double alpha_bar(std::int64_t t) const;

  /// Moves the tables to where they will be used, so that no call has to copy them.
  void to(const at::TensorOptions& options);

  /// sqrt(abar_t) and sqrt(1 - abar_t) for each image: [B, 1, 1, 1] in the type and on the device
  /// of `like`, for levels t int64 [B] in 0..T+1.
  at::Tensor signal(const at::Tensor& t, const at::Tensor& like) const;
  at::Tensor sigma(const at::Tensor& t, const at::Tensor& like) const;

  /// x_t of images x0 [B, C, H, W], levels t [B] and noise [B, C, H, W].
  at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& t, const at::Tensor& noise) const;

 private:
  std::int64_t steps_;
  at::Tensor alpha_bar_;       // float64 [K], CPU
  at::Tensor signal_, sigma_;  // sqrt(abar), sqrt(1 - abar): [K]
};

}  // namespace cdm
