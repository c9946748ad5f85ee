// SPDX-License-Identifier: MIT
// Random changes of training images, and what the network is told about them.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rot90.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "cdm/data/augment.h"

namespace cdm {
namespace {

constexpr std::uint64_t kSeed = 3;
constexpr std::int64_t kImages = 400;

/// Copies of one image [2, 5, 5] whose pixels all differ.
at::Tensor copies() {
  return at::arange(50, at::kByte).view({1, 2, 5, 5}).repeat({kImages, 1, 1, 1});
}

DataConfig shifts_of(std::int64_t shift) {
  DataConfig config;
  config.shift = shift;
  return config;
}

DataConfig told_with(double probability, std::int64_t shift) {
  DataConfig config = shifts_of(shift);
  config.augment = probability;
  return config;
}

AugmentedImages at_step(const at::Tensor& images, const DataConfig& config, std::int64_t step = 4,
                        std::int64_t first_row = 0) {
  return augment(images, config, kSeed, step, first_row);
}

/// The image [C, H, W] moved pixel by pixel.
at::Tensor moved_by(const at::Tensor& image, std::int64_t right, std::int64_t down) {
  at::Tensor out = image.clone();
  const std::int64_t size = image.size(1);
  for (std::int64_t y = 0; y < size; ++y) {
    for (std::int64_t x = 0; x < size; ++x) {
      const std::int64_t from_y = std::clamp<std::int64_t>(y - down, 0, size - 1);
      const std::int64_t from_x = std::clamp<std::int64_t>(x - right, 0, size - 1);
      out.select(1, y).select(1, x).copy_(image.select(1, from_y).select(1, from_x));
    }
  }
  return out;
}

TEST(Augment, ByDefaultChangesNothing) {
  const AugmentedImages result = at_step(copies(), DataConfig());
  EXPECT_TRUE(at::equal(result.images, copies()));
  EXPECT_FALSE(result.told.defined());
  EXPECT_EQ(augmentation_numbers(DataConfig()), 0);
}

TEST(Augment, IsNotForSamplesOfAKnownDensity) {
  DataConfig config = told_with(0.5, 2);
  config.kind = DataKind::toy;
  const AugmentedImages result = at_step(copies(), config);
  EXPECT_TRUE(at::equal(result.images, copies()));
  EXPECT_FALSE(result.told.defined());
  EXPECT_EQ(augmentation_numbers(config), 0);
}

TEST(Augment, MovesByEveryNumberOfPixelsAboutEquallyOften) {
  const at::Tensor images = copies();
  const AugmentedImages result = at_step(images, shifts_of(1));
  EXPECT_FALSE(result.told.defined());
  EXPECT_EQ(result.images.scalar_type(), at::kByte);
  std::map<std::pair<int, int>, int> seen;
  for (std::int64_t i = 0; i < kImages; ++i) {
    int matches = 0;
    for (int right = -1; right <= 1; ++right) {
      for (int down = -1; down <= 1; ++down) {
        if (!at::equal(result.images[i], moved_by(images[i], right, down))) continue;
        ++seen[{right, down}];
        ++matches;
      }
    }
    EXPECT_EQ(matches, 1) << i;
  }
  EXPECT_EQ(seen.size(), 9u);
  for (const auto& [by, count] : seen) EXPECT_NEAR(count, kImages / 9.0, 24);  // 3.6 deviations
}

// As at a border of one grey level, such as the black one of Fashion-MNIST.
TEST(Augment, RepeatsTheBorder) {
  const at::Tensor flat = at::full({kImages, 1, 4, 4}, 7, at::kByte);
  EXPECT_TRUE(at::equal(at_step(flat, shifts_of(3)).images, flat));
}

TEST(Augment, TellsHowAnImageWasChanged) {
  const at::Tensor images = copies();
  const DataConfig config = told_with(0.5, 2);
  const AugmentedImages result = at_step(images, config);
  ASSERT_EQ(result.told.sizes(), at::IntArrayRef({kImages, augmentation_numbers(config)}));
  std::int64_t unchanged = 0;
  for (std::int64_t i = 0; i < kImages; ++i) {
    const auto told = [&](std::int64_t k) { return result.told[i][k].item<double>(); };
    at::Tensor expected = images[i];
    if (told(0) == 1.0) expected = expected.flip({2});
    for (int k = 1; k <= 3; ++k) {
      if (told(k) == 1.0) expected = at::rot90(expected, k, {1, 2});
    }
    expected = moved_by(expected, static_cast<std::int64_t>(2.0 * told(4)),
                        static_cast<std::int64_t>(2.0 * told(5)));
    EXPECT_TRUE(at::equal(result.images[i], expected)) << i;
    unchanged += result.told[i].eq(0).all().item<bool>();
  }
  // All three changes happen with probability 1/2, and a move by (0, 0) is none.
  EXPECT_NEAR(static_cast<double>(unchanged) / kImages, 0.25 * (0.5 + 0.5 / 25.0), 0.06);
}

TEST(Augment, HappensAsOftenAsAsked) {
  const at::Tensor many = at::zeros({20000, 1, 2, 2}, at::kByte);
  const at::Tensor told = at_step(many, told_with(0.2, 1)).told;
  const auto share = [&](const at::Tensor& happened) {
    return happened.to(at::kDouble).mean().item<double>();
  };
  EXPECT_NEAR(share(told.select(1, 0)), 0.2, 0.011);  // four standard deviations
  for (int k = 1; k <= 3; ++k) EXPECT_NEAR(share(told.select(1, k)), 0.2 / 3.0, 0.008) << k;
  EXPECT_EQ(share(told.narrow(1, 1, 3).sum(1).gt(1)), 0.0);
  for (int k = 4; k <= 5; ++k) {
    EXPECT_NEAR(share(told.select(1, k).eq(1)), 0.2 / 3.0, 0.008) << k;
    EXPECT_NEAR(share(told.select(1, k).eq(-1)), 0.2 / 3.0, 0.008) << k;
  }
  EXPECT_NEAR(share(told.select(1, 0) * told.select(1, 4).ne(0)), 0.2 * 0.4 / 3.0, 0.005);
}

TEST(Augment, OfARowDependsOnItsStepAndPlaceAlone) {
  const at::Tensor images = copies();
  for (const DataConfig& config : {shifts_of(2), told_with(0.5, 2)}) {
    const AugmentedImages whole = at_step(images, config);
    const AugmentedImages part = at_step(images.narrow(0, 7, 5), config, 4, 7);
    EXPECT_TRUE(at::equal(part.images, whole.images.narrow(0, 7, 5)));
    EXPECT_FALSE(at::equal(at_step(images, config, 5).images, whole.images));
    const at::Tensor step = at::full({}, 4, at::kLong);  // as in the memory of a device
    const AugmentedImages by_memory = augment(images, config, kSeed, step, 0);
    EXPECT_TRUE(at::equal(by_memory.images, whole.images));
    if (!whole.told.defined()) continue;
    EXPECT_TRUE(at::equal(part.told, whole.told.narrow(0, 7, 5)));
    EXPECT_TRUE(at::equal(by_memory.told, whole.told));
  }
}

}  // namespace
}  // namespace cdm
