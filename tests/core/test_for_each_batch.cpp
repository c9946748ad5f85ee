// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>

#include <utility>
#include <vector>

#include "cdm/core/for_each_batch.h"

namespace cdm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

using Batches = std::vector<std::pair<std::int64_t, std::int64_t>>;  // first, count

Batches batches_of(std::int64_t total, std::int64_t batch_size, int rank = 0, int processes = 1) {
  Batches visited;
  for_each_batch(
      total, batch_size,
      [&](std::int64_t first, std::int64_t count) { visited.emplace_back(first, count); }, rank,
      processes);
  return visited;
}

TEST(ForEachBatch, VisitsAllInOrderWithASmallerLastBatch) {
  EXPECT_THAT(batches_of(7, 3), ElementsAre(Pair(0, 3), Pair(3, 3), Pair(6, 1)));
  EXPECT_THAT(batches_of(6, 3), ElementsAre(Pair(0, 3), Pair(3, 3)));
  EXPECT_THAT(batches_of(2, 5), ElementsAre(Pair(0, 2)));
  EXPECT_THAT(batches_of(0, 5), IsEmpty());
}

TEST(ForEachBatch, ProcessesTakeTurns) {
  EXPECT_THAT(batches_of(10, 3, 0, 2), ElementsAre(Pair(0, 3), Pair(6, 3)));
  EXPECT_THAT(batches_of(10, 3, 1, 2), ElementsAre(Pair(3, 3), Pair(9, 1)));
  EXPECT_THAT(batches_of(10, 30, 1, 2), IsEmpty());
}

}  // namespace
}  // namespace cdm
