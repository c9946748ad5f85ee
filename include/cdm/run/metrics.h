// SPDX-License-Identifier: MIT
// The numbers of a run: averaged over steps, then written to metrics.jsonl and TensorBoard.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "cdm/run/run_dir.h"
#include "cdm/run/tensorboard.h"
#include "cdm/train/learner.h"

namespace cdm {

using Metrics = std::vector<std::pair<std::string, double>>;

/// A step that changed nothing, because its loss or gradient was NaN or infinite.
struct SkippedStep {
  std::int64_t step;  // 0, 1, ...
  Metrics values;     // "loss" and its terms, then "gradient_norm"
};

/// Averages what steps report. Reports are kept on their device until somebody asks, so that steps
/// need not wait for the host; then they are read in one copy.
class RunningMeans {
 public:
  void add(const StepReport& report, std::int64_t step);

  /// Steps that were skipped, since the last call, oldest first. Waits for the device.
  std::vector<SkippedStep> take_skipped();

  /// Means of the loss, its terms and gradient_norm over the other steps since the last call; empty
  /// where there were none. Waits for the device.
  Metrics take();

 private:
  struct Unread {
    std::int64_t step;
    at::Tensor values;  // float64: the terms, the gradient norm, and whether the step was skipped
  };
  void read();

  std::vector<std::string> names_;
  std::vector<Unread> unread_;
  std::vector<double> sums_;
  std::int64_t count_ = 0;
  std::vector<SkippedStep> skipped_;
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
