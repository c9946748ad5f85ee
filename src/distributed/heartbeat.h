// SPDX-License-Identifier: MIT
// Signs of life between processes. One that ends is noticed by its closed connections, if anybody
// waits for it; one whose machine is gone, or that dies while another waits for its own GPU, only
// by its silence.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace cdm {

class Heartbeat {
 public:
  /// How many intervals without a sign of life mean that a process is lost.
  static constexpr int kPatience = 6;

  /// Shows a sign of life in `store` (not shared with other work) at every `interval`. Rank 0
  /// watches all and tells them whom it misses; the others watch rank 0. Calls `lost(rank)` once,
  /// in a thread of its own; in rank 0 only after the others could know.
  Heartbeat(c10::intrusive_ptr<c10d::Store> store, int rank, int size,
            std::chrono::milliseconds interval, std::function<void(int)> lost);
  /// Says farewell, so that nobody misses this process, but not while an exception is under way.
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  struct Signs;

  std::shared_ptr<Signs> signs_;
  std::thread exchange_, watch_;
};

}  // namespace cdm
