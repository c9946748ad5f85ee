// SPDX-License-Identifier: MIT
// The numbers of a run: averaged over steps, then written to metrics.jsonl and TensorBoard.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cdm/run/run_dir.h"
#include "cdm/run/tensorboard.h"
#include "cdm/train/learner.h"

namespace cdm {

using Metrics = std::vector<std::pair<std::string, double>>;

/// Sums up reports on their device, so that steps need not wait for the host.
class RunningMeans {
 public:
  void add(const StepReport& report, std::int64_t step);

  /// The first step whose loss or gradient norm was NaN or infinite. Waits for the device.
  std::optional<std::int64_t> first_bad_step() const;

  /// Means of loss, ce, mse, accuracy and gradient_norm since the last call. Waits for the device.
  Metrics take();

 private:
  at::Tensor sums_;       // float64 [5]
  at::Tensor first_bad_;  // int64, -1 = none
  std::int64_t count_ = 0;
};

class MetricsWriter {
 public:
  /// Goes on with the run's files after `step`: lines of later steps are dropped.
  MetricsWriter(const RunDir& run, std::int64_t step);

  /// One line {"step": ..., name: value, ...}, and one scalar each.
  void write(std::int64_t step, const Metrics& values);
  /// A picture [C, H, W] that is already in `png`.
  void image(std::int64_t step, const std::string& tag, const std::filesystem::path& png,
             at::IntArrayRef shape);

 private:
  std::filesystem::path path_;
  std::ofstream lines_;
  EventWriter events_;
};

}  // namespace cdm
