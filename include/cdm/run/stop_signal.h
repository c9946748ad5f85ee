// SPDX-License-Identifier: MIT
// Signals that a training process handles at the end of the current step.
#pragma once

namespace cdm {

/// While an object of this class exists, SIGINT and SIGTERM request a stop, and SIGUSR1 requests a
/// checkpoint. A second SIGINT ends the process at once. Only one object may exist at a time.
class StopSignal {
 public:
  StopSignal();
  /// Restores the former handlers of the signals.
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The name of the signal that requested a stop ("SIGINT" or "SIGTERM"), or null.
  static const char* stop_requested();
  /// Whether a checkpoint was requested since the last call.
  static bool take_save_request();
};

}  // namespace cdm
