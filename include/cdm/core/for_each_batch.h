// SPDX-License-Identifier: MIT
// A loop over many things, some at a time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cdm {

/// Calls visit(first, count) for the numbers 0 .. total-1, in order, `batch_size` of them at a
/// time; the last batch may be smaller. `batch_size` must be at least 1. Of several processes that
/// share the batches out, the one with number `rank` of `processes` visits batches rank, rank +
/// processes, rank + 2 processes, ...
template <class Visit>
void for_each_batch(std::int64_t total, std::int64_t batch_size, const Visit& visit, int rank = 0,
                    int processes = 1) {
  for (std::int64_t first = rank * batch_size; first < total; first += processes * batch_size) {
    visit(first, std::min(batch_size, total - first));
  }
}

}  // namespace cdm
