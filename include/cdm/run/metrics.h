// SPDX-License-Identifier: MIT
// The metrics of a run: averages over steps, which are written to metrics.jsonl and TensorBoard.
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

/// Names and values, in the order in which they are written.
using Metrics = std::vector<std::pair<std::string, double>>;

/// A step that was skipped, because its loss or gradient was NaN or infinite.
struct SkippedStep {
  std::int64_t step;  // counted from 0
  Metrics values;     // "loss" and its terms, then "gradient_norm"
};

/// Averages the reports of steps. Reports stay on their device until a result is asked for, and are
/// then read in one copy, so that a step does not wait for the device.
class RunningMeans {
 public:
  /// `step` is counted from 0.
  void add(const StepReport& report, std::int64_t step);

  /// The steps skipped since the last call of take_skipped(), oldest first. Waits for the device.
  std::vector<SkippedStep> take_skipped();

  /// The means of "loss", its terms and "gradient_norm" over the steps since the last call of
  /// take() that were not skipped; empty when there were none. Waits for the device.
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

/// The last step that a metrics.jsonl has a line of; 0 when there is no such file or line. Throws
/// UserError when the file cannot be read.
std::int64_t last_step_in(const std::filesystem::path& metrics);

class MetricsWriter {
 public:
  /// Opens the run's files to continue after `step`. Lines of later steps are removed from
  /// metrics.jsonl, and TensorBoard no longer shows them.
  MetricsWriter(const RunDir& run, std::int64_t step);

  /// Adds a line {"step": ..., name: value, ...} to metrics.jsonl, and a scalar per value to
  /// TensorBoard. Throws std::runtime_error when that fails.
  void write(std::int64_t step, const Metrics& values);
  /// Adds to TensorBoard the picture in the file `png`. `shape` is its [C, H, W].
  void image(std::int64_t step, const std::string& tag, const std::filesystem::path& png,
             at::IntArrayRef shape);

 private:
  std::filesystem::path path_;
  std::ofstream lines_;
  EventWriter events_;
};

}  // namespace cdm
