// SPDX-License-Identifier: MIT
// Counts the arithmetic of a forward pass: two floating-point operations for each multiplication
// with an addition in convolutions, linear layers and attention. All else is small beside them.
#pragma once

#include <atomic>
#include <cstdint>

namespace cdm::ops {

/// Counts while it lives, what all threads do. At most one at a time.
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter();
  FlopCounter(const FlopCounter&) = delete;
  FlopCounter& operator=(const FlopCounter&) = delete;

  std::int64_t flop() const { return flop_; }

  /// Called by the operations; does nothing where nobody counts.
  static void add(std::int64_t flop);

 private:
  std::atomic<std::int64_t> flop_ = 0;
};

}  // namespace cdm::ops
