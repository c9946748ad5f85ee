// SPDX-License-Identifier: MIT
// Signals that a training process answers after the step it is in.
#pragma once

namespace cdm {

/// While one of these lives, SIGINT and SIGTERM ask for a stop and SIGUSR1 for a checkpoint.
/// A second SIGINT ends the process at once. At most one lives at a time.
class StopSignal {
 public:
  StopSignal();
  /// Gives the signals their former meaning.
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The signal that asked for a stop ("SIGTERM"), or null.
  static const char* stop_requested();
  /// Whether a checkpoint was asked for since the last call.
  static bool take_save_request();
};

}  // namespace cdm
