// SPDX-License-Identifier: MIT
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "cdm/device/random.h"
#include "cdm/device/random_rows.h"
#include "cdm/model/dropout.h"
#include "support.h"

namespace cdm {
namespace {

constexpr double kRate = 0.3;

at::Tensor kept_of(DropoutMasks masks, at::IntArrayRef sizes, int layer) {
  for (int i = 0; i < layer; ++i) masks.next(kRate);
  return ops::dropout(at::ones(sizes), masks.next(kRate)).ne(0.0);
}

TEST(Dropout, KeepsWhereAUniformNumberReachesTheRate) {
  // [B, H, W, C] is the order of the numbers.
  const at::Tensor expected = uniform({8, Purpose::dropout, 2}, {2, 3, 4, 5}, at::kFloat, 6)
                                  .ge(kRate)
                                  .permute({0, 3, 1, 2});
  EXPECT_TRUE(at::equal(kept_of(DropoutMasks(8, 6, at::kCPU), {2, 5, 3, 4}, 2), expected));
}

TEST(Dropout, MasksDifferBySeedRowAndLayer) {
  const std::vector<std::int64_t> sizes = {1, 8, 4, 4};
  const at::Tensor base = kept_of(DropoutMasks(8, 6, at::kCPU), sizes, 2);
  EXPECT_TRUE(at::equal(kept_of(DropoutMasks(8, 6, at::kCPU), sizes, 2), base));
  EXPECT_FALSE(at::equal(kept_of(DropoutMasks(9, 6, at::kCPU), sizes, 2), base));
  EXPECT_FALSE(at::equal(kept_of(DropoutMasks(8, 7, at::kCPU), sizes, 2), base));
  EXPECT_FALSE(at::equal(kept_of(DropoutMasks(8, 6, at::kCPU), sizes, 1), base));
}

TEST(Dropout, ScalesWhatItKeeps) {
  const at::Tensor x = test::numbers(1, {2, 8, 16, 16});
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const at::Tensor y =
        ops::dropout(x.to(type), DropoutMasks(8, 6, at::kCPU).next(kRate)).to(at::kDouble);
    const at::Tensor kept = y.ne(0.0);
    EXPECT_NEAR(kept.to(at::kDouble).mean().item<double>(), 1.0 - kRate, 0.02);
    test::expect_close(y, x.to(type).to(at::kDouble) * kept / (1.0 - kRate),
                       type == at::kBFloat16 ? 0x1p-8 : 1e-7, "y");
  }
}

}  // namespace
}  // namespace cdm
