// SPDX-License-Identifier: MIT
#include "cdm/run/stop_signal.h"

#include <time.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>

namespace cdm {
namespace {

volatile std::sig_atomic_t stop_signal = 0;
volatile std::sig_atomic_t save_signal = 0;
// When stop_signal came. Atomics without locks may be used in a handler.
std::atomic<std::int64_t> stop_milliseconds = 0;
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

// Slurm sends SIGTERM twice, some 20 ms apart, to a job that it preempts.
constexpr std::int64_t kSameRequestMilliseconds = 1000;

constexpr std::array<int, 5> kSignals = {SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1};
std::array<struct sigaction, kSignals.size()> former;

std::int64_t milliseconds() {
  struct timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void handle(int signal) {
  if (signal == SIGUSR1) {
    save_signal = 1;
    return;
  }
  const std::int64_t now = milliseconds();
  if (signal == stop_signal && signal != SIGXCPU) {  // which comes every second
    if (now - stop_milliseconds < kSameRequestMilliseconds) return;
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  stop_milliseconds = now;
  stop_signal = signal;
}

}  // namespace

StopSignal::StopSignal() {
  stop_signal = 0;
  save_signal = 0;
  struct sigaction action = {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &action, &former[i]);
    if (kSignals[i] == SIGHUP && former[i].sa_handler == SIG_IGN) {
      ::sigaction(SIGHUP, &former[i], nullptr);
    }
  }
}

StopSignal::~StopSignal() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &former[i], nullptr);
}

const char* StopSignal::stop_requested() {
  switch (stop_signal) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    case SIGXCPU:
      return "SIGXCPU";
    default:
      return nullptr;
  }
}

bool StopSignal::take_save_request() {
  const bool asked = save_signal != 0;
  save_signal = 0;
  return asked;
}

}  // namespace cdm
