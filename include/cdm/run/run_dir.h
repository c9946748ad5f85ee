// SPDX-License-Identifier: MIT
// The folder of a run: config.yaml (every value resolved), checkpoints/step-N/, metrics.jsonl,
// tensorboard/, samples/, log.txt.
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

  /// Writes config.yaml. Creates the folder where there is none.
  void save_config(const RunConfig& config) const;

  /// Saves a checkpoint and removes the oldest ones beyond the newest `keep` (0 = keeps all).
  void save(const TrainingState& checkpoint, std::int64_t keep) const;

  static constexpr std::int64_t kAnyStep = std::numeric_limits<std::int64_t>::max();

  /// The newest checkpoint that is whole, of a step before `before`, with a warning for each
  /// damaged one passed over. Empty when there is none at all; where any step would do, throws
  /// UserError when there are some but none is whole.
  std::optional<TrainingState> newest_checkpoint(std::int64_t before = kAnyStep) const;

  /// Before a run goes on from `step`: gives checkpoints of later steps, which must be damaged, a
  /// name that no checkpoint of the run will have, with a warning; removes what a killed process
  /// left half-written.
  void clear_away(std::int64_t step) const;

 private:
  std::filesystem::path root_;
};

/// Holds a run directory for one process; the lock goes with the process, however it ends.
class RunLock {
 public:
  /// Throws UserError when another process trains there.
  explicit RunLock(const RunDir& run);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int descriptor_;
};

/// Keys whose values differ and which are declared not to change when a run goes on:
/// "key: saved -> wanted".
std::vector<std::string> forbidden_changes(const RunConfig& saved, const RunConfig& wanted);

/// Throws UserError, naming them, when there are any against the configuration in `run`.
void require_same_run(const RunDir& run, const RunConfig& wanted);

/// A trained model on disk: a run directory, of which the newest checkpoint is meant, or one of
/// its checkpoint folders.
struct ModelFiles {
  std::filesystem::path config;      // config.yaml
  std::filesystem::path checkpoint;  // checkpoints/step-N
};

/// Throws UserError when `path` is neither.
ModelFiles find_model(const std::filesystem::path& path);

}  // namespace cdm
