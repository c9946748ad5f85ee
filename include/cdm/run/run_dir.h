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
  std::filesystem::path lock() const { return root_ / ".lock"; }
  std::filesystem::path checkpoints() const { return root_ / "checkpoints"; }
  std::filesystem::path averages() const { return root_ / "averages"; }
  std::filesystem::path metrics() const { return root_ / "metrics.jsonl"; }
  std::filesystem::path tensorboard() const { return root_ / "tensorboard"; }
  std::filesystem::path samples() const { return root_ / "samples"; }
  std::filesystem::path skipped_steps() const { return root_ / "skipped_steps.jsonl"; }
  std::filesystem::path log() const { return root_ / "log.txt"; }

  bool has_config() const;

  /// Whether a training has begun in the folder: there is a lock's file, metrics, or a checkpoint
  /// or a link in its place. A config.yaml alone may be one that somebody wrote.
  bool has_begun() const;

  /// Copies config.yaml to config.given.yaml, and logs that. For a file that somebody wrote into
  /// the folder before the run began, because the run's own file is about to replace it.
  void keep_given_config() const;

  /// Writes config.yaml. Creates the folder if it does not exist.
  void save_config(const RunConfig& config) const;

  /// Writes a checkpoint of a training with `config`, then removes all but the newest `keep` ones
  /// (0 = removes none). One that cannot be removed, such as another user's, gets a warning.
  void save(const TrainingState& checkpoint, const RunConfig& config, std::int64_t keep) const;

  /// Writes the averages of the weights alone, as averages()/step-N. They are kept.
  void save_averages(const TrainingState& checkpoint, const RunConfig& config) const;

  static constexpr std::int64_t kAnyStep = std::numeric_limits<std::int64_t>::max();

  /// Reads the newest undamaged checkpoint of a step before `before`. Logs a warning for each
  /// damaged one that it tries. Returns nothing when there is none. With kAnyStep, throws UserError
  /// when there are checkpoints but all are damaged. Throws UserError when a checkpoint or their
  /// folder cannot be read for another reason, such as permissions: nothing older is taken then.
  std::optional<TrainingState> newest_checkpoint(std::int64_t before = kAnyStep) const;

  /// Call it before a run is resumed from `step`, that of its newest undamaged checkpoint. Renames
  /// checkpoints of later steps, which are damaged, to step-N.damaged, with a warning, and removes
  /// incomplete checkpoints that a killed process left, and stored averages of later steps.
  void clear_away(std::int64_t step) const;

  /// Checks that everything that training writes can be written, in a folder that exists. Nothing
  /// is changed. Throws UserError for a link to something that does not exist, and
  /// std::runtime_error, naming the path and the reason, for what cannot be written.
  void require_writable() const;

  /// Moves the files of the run, with all results, to a new folder before-1/ (or the next free
  /// number) in it, and returns that folder; empty when there was nothing to move. Throws
  /// std::runtime_error, naming the file and the reason, when one cannot be moved; the others are
  /// then moved back.
  std::filesystem::path set_aside() const;

 private:
  std::filesystem::path root_;
};

/// The keys whose values differ although they must not change when a run is resumed, each as
/// "key: saved value -> wanted value".
std::vector<std::string> forbidden_changes(const RunConfig& saved, const RunConfig& wanted);

/// Throws UserError, naming the keys, when forbidden_changes() finds any between what the run was
/// trained with and `wanted`. `checkpoint` is the one to resume from, and its own configuration
/// counts, whatever config.yaml says. Without a checkpoint, config.yaml counts if there is one.
void require_same_run(const RunDir& run, const std::optional<TrainingState>& checkpoint,
                      const RunConfig& wanted);

}  // namespace cdm
