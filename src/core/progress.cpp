// SPDX-License-Identifier: MIT
#include "cdm/core/progress.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "cdm/core/log.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr double kTerminalSeconds = 0.1;  // between updates of the bar
constexpr double kPlainSeconds = 15.0;    // between log lines when there is no terminal
constexpr std::int64_t kBarWidth = 24;

std::string bar(double share) {
  const auto full =
      static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(kBarWidth));
  return concat("[", std::string(full, '#'),
                std::string(static_cast<std::size_t>(kBarWidth) - full, '.'), "]");
}

double machine_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Progress::Progress(std::string label, std::int64_t total, std::string unit, std::int64_t done,
                   Clock clock)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      before_(done),
      done_(done),
      clock_(clock ? std::move(clock) : machine_seconds),
      start_(clock_()),
      shown_(start_) {}

Progress::~Progress() { show_status(""); }

void Progress::update(std::int64_t done, std::string_view details) {
  done_ = done;
  const bool terminal = log_is_terminal();
  const double now = clock_();
  if (now - shown_ < (terminal ? kTerminalSeconds : kPlainSeconds) &&
      !(terminal && done_ == total_)) {
    return;
  }
  shown_ = now;
  std::string line = label_;
  if (total_ > 0) {
    const double share = static_cast<double>(done_) / static_cast<double>(total_);
    if (terminal) line += " " + bar(share);
    line += concat(" ", done_, "/", total_, " ", unit_, ", ", fixed(rate(), rate() < 10 ? 2 : 0),
                   "/s, ", format_duration(seconds_left()), " left");
  } else {
    line += concat(" ", done_, " ", unit_, ", ", fixed(rate(), rate() < 10 ? 2 : 0), "/s");
  }
  if (!details.empty()) line += concat(", ", details);
  if (terminal) {
    show_status(line);
  } else {
    log_info(line);
  }
}

double Progress::elapsed_seconds() const { return clock_() - start_; }

double Progress::rate() const {
  const double seconds = elapsed_seconds();
  return seconds > 0.0 ? static_cast<double>(done_ - before_) / seconds : 0.0;
}

double Progress::seconds_left() const {
  const double until_limit = std::max(limit_seconds_ - elapsed_seconds(), 0.0);
  const double per_second = rate();
  if (total_ == 0 || per_second <= 0.0) return until_limit;
  const std::int64_t left = std::max<std::int64_t>(total_ - done_, 0);
  return std::min(static_cast<double>(left) / per_second, until_limit);
}

}  // namespace cdm
