// SPDX-License-Identifier: MIT
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <vector>

#include "cdm/core/text.h"
#include "cdm/device/random_rows.h"
#include "device/fill_rows.h"

namespace cdm {
namespace {

constexpr std::uint64_t kSeed = 77;
constexpr std::int64_t kLastRow = (1LL << 32) - 1;

/// Row after row and block after block, by philox_words().
at::Tensor by_words(std::int64_t first_row, std::uint64_t index, std::int64_t rows,
                    std::int64_t size) {
  std::vector<float> numbers;
  for (std::int64_t row = first_row; row < first_row + rows; ++row) {
    for (std::int64_t i = 0; i < size; ++i) {
      std::uint32_t words[kNumbersPerBlock];
      philox_words(philox_row({kSeed, Purpose::dropout, index}, row),
                   static_cast<std::uint64_t>(i / kNumbersPerBlock), words);
      numbers.push_back(static_cast<float>(words[i % kNumbersPerBlock] >> 8) / (1 << 24));
    }
  }
  return at::tensor(numbers).view({rows, size});
}

TEST(RandomRows, LoopsAndTensorsGiveTheWordsOfPhilox) {
  const struct {
    std::int64_t first_row;
    std::uint64_t index;
    std::int64_t rows, size;
  } cases[] = {{0, 0, 3, 8},        {5, 21, 2, 33},
               {kLastRow, 3, 1, 5}, {(1LL << 31) - 1, (1ULL << 32) - 1, 2, 1},
               {9, 1, 1, 4096},     {9, 1, 0, 4}};
  for (const auto& c : cases) {
    SCOPED_TRACE(concat("row ", c.first_row, ", index ", c.index));
    const at::Tensor rows = random_rows(kSeed, Purpose::dropout, c.first_row, at::kCPU);
    const at::Tensor expected = by_words(c.first_row, c.index, c.rows, c.size);
    EXPECT_TRUE(at::equal(uniform(rows, c.index, {c.rows, c.size}), expected));
    EXPECT_TRUE(at::equal(uniform_by_tensors(rows, c.index, {c.rows, c.size}), expected));
  }
}

TEST(RandomRows, AreTheRowsOfTheStream) {
  const at::Tensor rows = random_rows(kSeed, Purpose::dropout, 6, at::kCPU);
  const at::Tensor expected = uniform({kSeed, Purpose::dropout, 2}, {3, 5, 7}, at::kFloat, 6);
  EXPECT_TRUE(at::equal(uniform(rows, 2, {3, 5, 7}), expected));
  EXPECT_TRUE(at::equal(uniform_by_tensors(rows, 2, {3, 5, 7}), expected));
}

TEST(RandomRows, OutOfRangeNumbersThrow) {
  const at::Tensor rows = random_rows(kSeed, Purpose::dropout, kLastRow, at::kCPU);
  EXPECT_THROW(uniform(rows, 0, {2, 1}), c10::Error);
  for (const auto draw :
       {uniform_by_tensors, static_cast<decltype(&uniform_by_tensors)>(uniform)}) {
    EXPECT_THROW(draw(rows, 1ULL << 32, {1, 1}), c10::Error);
    EXPECT_THROW(draw(rows, 0, {}), c10::Error);
  }
  EXPECT_THROW(random_rows(kSeed, Purpose::dropout, kLastRow + 1, at::kCPU), c10::Error);
}

}  // namespace
}  // namespace cdm
