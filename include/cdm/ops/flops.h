// SPDX-License-Identifier: MIT
// Counts the floating-point operations of forward passes. A multiplication with an addition counts
// as two. Only convolutions, linear layers and attention are counted; the rest is small in
// comparison.
#pragma once

#include <atomic>
#include <cstdint>

namespace cdm::ops {

/// Counts the forward passes of all threads while the object exists. Only one object may exist at a
/// time (c10::Error otherwise).
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter();
  FlopCounter(const FlopCounter&) = delete;
  FlopCounter& operator=(const FlopCounter&) = delete;

  std::int64_t flop() const { return flop_; }

  /// Called by the operations. Does nothing when there is no counter.
  static void add(std::int64_t flop);

 private:
  std::atomic<std::int64_t> flop_ = 0;
};

}  // namespace cdm::ops
