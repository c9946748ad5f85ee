// SPDX-License-Identifier: MIT
// The folder of a run, and the files in it: config.yaml (with every value), checkpoints/step-N/,
// metrics.jsonl, skipped_steps.jsonl, tensorboard/, samples/, log.txt.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/run/checkpoint.h"

namespace cdm {

class RunDir {
 public:
  explicit RunDir(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path config() const { return root_ / "config.yaml"; }
  std::filesystem::path checkpoints() const { return root_ / "checkpoints"; }
  std::filesystem::path metrics() const { return root_ / "metrics.jsonl"; }
  std::filesystem::path tensorboard() const { return root_ / "tensorboard"; }
  std::filesystem::path samples() const { return root_ / "samples"; }
  std::filesystem::path skipped_steps() const { return root_ / "skipped_steps.jsonl"; }
  std::filesystem::path log() const { return root_ / "log.txt"; }

  bool has_config() const;

  /// Writes config.yaml. Creates the folder if it does not exist.
  void save_config(const RunConfig& config) const;

  /// Writes a checkpoint, then removes all but the newest `keep` ones (0 = removes none).
  void save(const TrainingState& checkpoint, std::int64_t keep) const;

  static constexpr std::int64_t kAnyStep = std::numeric_limits<std::int64_t>::max();

  /// Reads the newest undamaged checkpoint of a step before `before`. Logs a warning for each
  /// damaged one that it tries. Returns nothing when there is none. With kAnyStep, throws UserError
  /// when there are checkpoints but all are damaged.
  std::optional<TrainingState> newest_checkpoint(std::int64_t before = kAnyStep) const;

  /// Call it before a run is resumed from `step`, that of its newest undamaged checkpoint. Renames
  /// checkpoints of later steps, which are damaged, to step-N.damaged, with a warning, and removes
  /// incomplete checkpoints that a killed process left.
  void clear_away(std::int64_t step) const;

 private:
  std::filesystem::path root_;
};

/// A lock on a run directory, so that only one process trains in it. The operating system releases
/// it when the process ends, however it ends.
class RunLock {
 public:
  /// Throws UserError when another process holds the lock.
  explicit RunLock(const RunDir& run);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int descriptor_;
};

/// The keys whose values differ although they must not change when a run is resumed, each as
/// "key: saved value -> wanted value".
std::vector<std::string> forbidden_changes(const RunConfig& saved, const RunConfig& wanted);

/// Throws UserError, naming the keys, when forbidden_changes() finds any between the run's
/// config.yaml and `wanted`.
void require_same_run(const RunDir& run, const RunConfig& wanted);

/// The files of a trained model.
struct ModelFiles {
  std::filesystem::path config;      // config.yaml
  std::filesystem::path checkpoint;  // checkpoints/step-N
};

/// The model in `path`: a run directory, whose newest checkpoint is taken, or a checkpoint folder
/// in one. Throws UserError when it is neither.
ModelFiles find_model(const std::filesystem::path& path);

}  // namespace cdm
