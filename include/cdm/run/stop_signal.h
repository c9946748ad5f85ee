// SPDX-License-Identifier: MIT
// Signals that a training process handles at the end of the current step, or, while it starts up,
// at the first step.
#pragma once

namespace cdm {

/// While an object of this class exists, SIGINT, SIGTERM, SIGHUP (a closed terminal) and SIGXCPU (a
/// limit on processor time) request a stop, and SIGUSR1 requests a checkpoint. A second
/// request for a stop, at least a second later, ends the process at once (SIGXCPU excepted). SIGHUP
/// stays ignored where it was, as under nohup. Only one object may exist at a time.
class StopSignal {
 public:
  StopSignal();
  /// Restores the former handlers of the signals.
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The name of the signal that requested a stop ("SIGINT", "SIGTERM", "SIGHUP" or "SIGXCPU"), or
  /// null.
  static const char* stop_requested();
  /// Whether a checkpoint was requested since the last call.
  static bool take_save_request();
};

}  // namespace cdm
