// SPDX-License-Identifier: MIT
// Signs of life between processes. A process that ends closes its connections, which another one
// notices if it is waiting for them. That is not enough when a machine fails and closes nothing, or
// when the others wait for their own GPUs. Then the missing signs of life show it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace cdm {

class Heartbeat {
 public:
  /// A process is lost after this many intervals without a sign of life.
  static constexpr int kPatience = 6;

  /// Writes a sign of life into `store` once per `interval`. `store` must be a connection that
  /// nothing else uses. Rank 0 watches all other ranks and tells them which one is lost; they watch
  /// rank 0. Calls `lost(rank)` once, in a thread of its own; rank 0 does so 3 intervals later,
  /// when the others can know.
  Heartbeat(c10::intrusive_ptr<c10d::Store> store, int rank, int size,
            std::chrono::milliseconds interval, std::function<void(int)> lost);
  /// Tells the others that this process ends as planned, so that they do not take it for lost. Not
  /// when an exception is being thrown.
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  struct Signs;

  std::shared_ptr<Signs> signs_;
  std::thread exchange_, watch_;
};

}  // namespace cdm
