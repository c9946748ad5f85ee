// SPDX-License-Identifier: MIT
// The file of cdm-sample --trajectory.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cdm/diffusion/schedule.h"
#include "cdm/model/network.h"
#include "cdm/sample/sample.h"

namespace cdm {

/// Every step of every image, kept in memory until all are drawn and then written to an .npz. With
/// N images and S steps, its arrays are `levels`, int64 [S+1], the levels visited, of which the
/// last is 0; `x_t`, float32 [N, S+1, C, H, W], the images at these levels; and `x_0`, float32 [N,
/// S, C, H, W], the prediction of x_0 in each step.
class Trajectory {
 public:
  /// Throws UserError when `images` images take more memory than 4 GiB.
  Trajectory(std::string file, std::int64_t images, const NoiseSchedule& schedule,
             const SampleConfig& sampling, const NetworkShape& shape);

  /// Keeps one step of images first, first + 1, ...
  void take(std::int64_t first, const SampleStep& step);

  void write() const;

 private:
  std::string file_;
  std::vector<std::int64_t> levels_;
  at::Tensor x_t_, x0_;
};

}  // namespace cdm
