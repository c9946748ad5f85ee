// SPDX-License-Identifier: MIT
// Shows how far a long task is: as a bar with rate and time left on a terminal, otherwise as a log
// line every 15 seconds.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

namespace cdm {

class Progress {
 public:
  using Clock = std::function<double()>;  // seconds since some fixed moment

  /// `label` names the task and `unit` what is counted: Progress("sampling", 64, "images").
  /// `total` is the number of units of the whole task; 0 means unknown. `done` of them were done by
  /// an earlier process and do not count for the rate. An empty `clock` means the machine's clock.
  Progress(std::string label, std::int64_t total, std::string unit, std::int64_t done = 0,
           Clock clock = {});
  /// Removes the bar.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Says that the task will stop after `seconds` seconds, even if it is not complete.
  void end_after(double seconds) { limit_seconds_ = seconds; }

  /// Shows that `done` units are done, and `details` after it. Cheap enough to call every step.
  void update(std::int64_t done, std::string_view details = {});

  double elapsed_seconds() const;
  /// Units per second since this object was made.
  double rate() const;
  /// Seconds until the task is complete at that rate, or until the limit of end_after(), whichever
  /// comes first. Without a limit it is infinite while no unit is done or the total is unknown.
  double seconds_left() const;

 private:
  std::string label_, unit_;
  std::int64_t total_, before_, done_;
  Clock clock_;
  double start_, shown_;
  double limit_seconds_ = std::numeric_limits<double>::infinity();
};

}  // namespace cdm
