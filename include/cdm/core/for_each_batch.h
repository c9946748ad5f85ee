// SPDX-License-Identifier: MIT
// A loop over numbered items, one batch of them at a time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cdm {

/// Calls visit(first, count) for each batch of the items 0 .. total-1, in order. A batch has
/// `batch_size` items (at least 1); the last one may have fewer. When `processes` processes share
/// the batches, process `rank` visits batches rank, rank + processes, rank + 2 processes, ...
template <class Visit>
void for_each_batch(std::int64_t total, std::int64_t batch_size, const Visit& visit, int rank = 0,
                    int processes = 1) {
  for (std::int64_t first = rank * batch_size; first < total; first += processes * batch_size) {
    visit(first, std::min(batch_size, total - first));
  }
}

}  // namespace cdm
