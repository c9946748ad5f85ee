// SPDX-License-Identifier: MIT
// A run from its configuration to its last checkpoint: data, steps, metrics, pictures, scores.
#pragma once

#include <cstdint>
#include <optional>

#include "cdm/config/config.h"
#include "cdm/core/progress.h"
#include "cdm/data/batches.h"
#include "cdm/data/dataset.h"
#include "cdm/distributed/process_group.h"
#include "cdm/run/metrics.h"
#include "cdm/run/run_dir.h"
#include "cdm/train/learner.h"

namespace cdm {

/// Fills in what the data decides: data.image_size and data.channels. Throws UserError when the
/// data set does not suit the configuration (labels missing or out of range for model.num_classes),
/// and when samples are asked for that cannot be drawn.
RunConfig resolve(const RunConfig& config, const Dataset& dataset);

class Trainer {
 public:
  /// Loads the data and takes up the run where its newest checkpoint left it. Throws UserError for
  /// data that does not suit, for a run directory in use, and for a configuration that changes what
  /// the run's training means.
  ///
  /// One of the trainers of `group`, which must outlive it: each takes its share of every batch,
  /// and that of rank 0 alone reads and writes the run directory.
  Trainer(const RunConfig& config, const RunDir& run, at::Device device,
          const ProcessGroup& group = ProcessGroup::alone());

  /// Trains until train.iterations or train.max_minutes are reached, or a signal asks for a stop,
  /// and saves. Steps whose loss or gradient is NaN or infinite change nothing; when there are more
  /// of them than train.skip_bad_steps, throws std::runtime_error that names the last one. They are
  /// noticed after each step on the CPU; on a GPU, which is not waited for, at the next log line or
  /// checkpoint. Checkpoints written before stay.
  void run();

  const RunConfig& config() const { return config_; }
  std::int64_t steps_done() const { return learner_.steps_done(); }

 private:
  Trainer(const RunConfig& config, const RunDir& run, at::Device device, const ProcessGroup& group,
          const Dataset& train);

  /// What rank 0 does before the first step: takes the folder, and what it has.
  void open_run();
  /// What any process asks of all: to stop, to save.
  std::int64_t requests() const;
  void take_step();
  /// Reports steps that were skipped since the last call, and ends the run where they are more than
  /// train.skip_bad_steps. Waits for the device.
  void report_skipped_steps();
  [[noreturn]] void end_with_skipped_step(std::int64_t step) const;
  bool is_due(std::int64_t every) const;
  bool time_is_up() const;
  void log(const Progress& progress);
  /// Does `work` without counting its time as that of training steps.
  void pause(void (Trainer::*work)());
  void save();
  void draw_samples();
  void score_test_images();
  double seconds() const;

  // Whatever may be refused comes before the folder is made.
  RunConfig config_;
  at::Device device_;
  const ProcessGroup& group_;
  std::optional<Dataset> test_;  // the images that are scored during training
  Learner learner_;
  BatchStream batches_;
  RunDir run_;
  std::optional<RunLock> lock_;
  std::optional<MetricsWriter> metrics_;
  RunningMeans means_;
  std::int64_t steps_skipped_ = 0;  // of the run, as far as reported
  double seconds_before_ = 0.0;  // of training, by earlier processes
  std::optional<Progress> progress_;
  std::int64_t saved_step_ = -1;
  double saved_seconds_ = 0.0;    // when that was, of this process's training
  std::int64_t logged_step_ = 0;  // the interval of the rate that is logged begins here,
  double logged_seconds_ = 0.0;   // and then
};

}  // namespace cdm
