// SPDX-License-Identifier: MIT
// A lock on a run directory.
#pragma once

#include <string>

#include "cdm/run/run_dir.h"

namespace cdm {

/// A lock on a run directory, so that only one process trains in it: flock() on the file .lock. The
/// operating system releases it when the process ends, however it ends. The file is made so that
/// every user who may write the folder by its umask can take the lock.
///
/// The file also notes the newest checkpoint, which tells a run that has lost its checkpoints from
/// one that was stopped before its first.
class RunLock {
 public:
  /// Throws UserError when another process holds the lock, and std::runtime_error when the file can
  /// be neither made nor opened. On a file system without locks it logs a warning and goes on.
  explicit RunLock(const RunDir& run);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// Notes the name of the newest checkpoint; "" removes the note. Does nothing in a file of
  /// another user that can only be read.
  void note_checkpoint(const std::string& name) const;

 private:
  int descriptor_;
};

/// The name that note_checkpoint() noted last in a run directory ("step-00001000"); empty when
/// there is none. Needs no lock.
std::string noted_checkpoint(const RunDir& run);

/// Throws UserError when another process holds the lock. Changes nothing.
void require_not_in_use(const RunDir& run);

}  // namespace cdm
