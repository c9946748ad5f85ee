// SPDX-License-Identifier: MIT
// Trains a run from its configuration to its last checkpoint: loads the data, takes the steps, and
// writes metrics, checkpoints, sampled images and test scores.
#pragma once

#include <cstdint>
#include <optional>

#include "cdm/config/config.h"
#include "cdm/core/progress.h"
#include "cdm/data/batches.h"
#include "cdm/data/dataset.h"
#include "cdm/distributed/process_group.h"
#include "cdm/run/metrics.h"
#include "cdm/run/prepare.h"
#include "cdm/run/run_dir.h"
#include "cdm/run/run_lock.h"
#include "cdm/train/learner.h"

namespace cdm {

class Trainer {
 public:
  /// Prepares the training (prepare_training(), whose errors it throws), and resumes the run at its
  /// newest checkpoint if it has one, unless `begin` says that a new one begins. Throws UserError
  /// also as check_run_folder() does. No file of a run is changed before all of this is checked and
  /// the run directory is found to be writable.
  ///
  /// Each process of `group`, which must outlive the trainer, has one trainer. Each takes its share
  /// of every batch; only the one of rank 0 reads and writes the run directory.
  Trainer(const RunConfig& config, const RunDir& run, at::Device device,
          const ProcessGroup& group = ProcessGroup::alone(), Begin begin = Begin::resume);

  /// Trains until train.iterations or train.max_minutes is reached or a signal requests a stop,
  /// then writes a checkpoint. Signals are handled while a StopSignal exists, which the caller
  /// makes: a request from before this call is served at the first step.
  ///
  /// Steps whose loss or gradient is NaN or infinite are skipped. When there are more of them than
  /// train.skip_bad_steps, throws std::runtime_error that names the step; checkpoints written
  /// before remain. On the CPU, skipped steps are counted after each step. On a GPU, the host does
  /// not wait for a step: they are counted at the next log line or checkpoint.
  void run();

  const RunConfig& config() const { return config_; }
  std::int64_t steps_done() const { return learner_.steps_done(); }

 private:
  Trainer(const PreparedTraining& start, const RunDir& run, at::Device device,
          const ProcessGroup& group, Begin begin);

  /// Creates the run directory, locks it, restores the newest checkpoint of the run in it, and
  /// opens its log. Changes no file of the run before everything is checked. Called by rank 0 only.
  void open_run(Begin begin);
  /// What this process tells all processes: bits that say stop and save and, in rank 0, the share
  /// of the run's time that has passed, if the learning rate depends on it.
  std::int64_t requests() const;
  /// The inputs of this process in a step.
  StepInputs inputs_at(const StreamIndex& step);
  void take_step();
  /// Logs and records the steps skipped since the last call, and throws when the run has more of
  /// them than train.skip_bad_steps. Waits for the device.
  void report_skipped_steps();
  [[noreturn]] void end_with_skipped_step(std::int64_t step) const;
  bool is_due(std::int64_t every) const;
  bool time_is_up() const;
  void log(const Progress& progress);
  /// Calls `work`, a second time if it needs the memory of the recorded step. Its time does not
  /// count for images_per_second.
  void pause(void (Trainer::*work)());
  void save();
  void save_averages();
  void draw_samples();
  void score_test_images();
  double seconds() const;

  // The order matters: the members whose construction may fail come first, so that a refused
  // configuration leaves no run directory.
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
  std::int64_t steps_skipped_ = 0;  // in the whole run, as far as reported
  double seconds_before_ = 0.0;     // training time before this process began
  std::optional<Progress> progress_;
  std::int64_t saved_step_ = -1;  // step of the last checkpoint; -1 = none
  double saved_seconds_ = 0.0;    // progress_'s time when this process last wrote a checkpoint
  std::int64_t logged_step_ = 0;  // images_per_second is measured from this step
  double logged_seconds_ = 0.0;   // and this time of progress_
};

}  // namespace cdm
