// SPDX-License-Identifier: MIT
// A loop over many things, some at a time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cdm {

/// Calls visit(first, count) for the numbers 0 .. total-1, in order, `batch_size` of them at a
/// time; the last batch may be smaller. `batch_size` must be at least 1.
template <class Visit>
void for_each_batch(std::int64_t total, std::int64_t batch_size, const Visit& visit) {
  for (std::int64_t first = 0; first < total; first += batch_size) {
    visit(first, std::min(batch_size, total - first));
  }
}

}  // namespace cdm
