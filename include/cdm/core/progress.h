// SPDX-License-Identifier: MIT
// How far a long task is: a bar with rate and time left on a terminal, now and then a line
// elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

namespace cdm {

class Progress {
 public:
  using Clock = std::function<double()>;  // seconds since any moment

  /// `label` names the task, `unit` what is counted: Progress("sampling", 64, "images").
  /// `done` of `total` were done before this process started. total = 0: unknown. Without a
  /// `clock`, it is that of the machine.
  Progress(std::string label, std::int64_t total, std::string unit, std::int64_t done = 0,
           Clock clock = {});
  /// Removes the bar.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// The task ends after so many seconds, done or not.
  void end_after(double seconds) { limit_seconds_ = seconds; }

  /// Shows that `done` are done, with a few words more. Cheap enough to call after every step.
  void update(std::int64_t done, std::string_view details = {});

  double elapsed_seconds() const;
  /// Units a second since the start.
  double rate() const;
  /// Seconds left at that rate, or until the task's limit; infinite before the first unit or for an
  /// unknown total where there is no limit.
  double seconds_left() const;

 private:
  std::string label_, unit_;
  std::int64_t total_, before_, done_;
  Clock clock_;
  double start_, shown_;
  double limit_seconds_ = std::numeric_limits<double>::infinity();
};

}  // namespace cdm
