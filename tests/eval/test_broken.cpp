// SPDX-License-Identifier: MIT
// Broken images, by their total variation.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <numbers>

#include "cdm/device/random.h"
#include "cdm/eval/broken.h"
#include "support.h"

namespace cdm {
namespace {

/// Noise of the whole range of pixels: uint8 [count, 1, 28, 28].
at::Tensor noise_images(std::int64_t count) {
  return uniform({5, Purpose::noise, 0}, {count, 1, 28, 28}, at::kFloat).mul(256).to(at::kByte);
}

/// Smooth images that differ in brightness, contrast and detail, as photographs do: a wave in each
/// direction, of at most one and a half periods.
at::Tensor smooth_images(std::int64_t count, std::uint64_t seed) {
  const at::Tensor numbers = uniform({seed, Purpose::noise, 1}, {count, 6, 1, 1}, at::kDouble);
  const auto number = [&](std::int64_t i) { return numbers.narrow(1, i, 1); };
  const at::Tensor place = at::arange(28, at::kDouble).div(28).mul(2.0 * std::numbers::pi);
  const auto wave = [&](const at::Tensor& x, std::int64_t i) {
    return at::sin(x * (0.5 + number(i)) + number(i + 1) * 2.0 * std::numbers::pi);
  };
  const at::Tensor waves = wave(place.view({1, 1, 28, 1}), 0) + wave(place.view({1, 1, 1, 28}), 2);
  return (100.0 + 40.0 * number(4) + waves * (10.0 + 30.0 * number(5))).to(at::kByte);
}

std::int64_t broken(const at::Tensor& images, const UsualRange& range) {
  return is_broken(total_variation(images), range).sum().item<std::int64_t>();
}

TEST(TotalVariation, IsTheMeanDifferenceOfNeighbours) {
  const at::Tensor image = at::tensor({10, 20, 13, 255, 0, 13}, at::kByte).view({1, 1, 2, 3});
  // In rows: 10, 7, 255, 13. In columns: 245, 20, 0. Seven pairs.
  EXPECT_NEAR(total_variation(image).item<double>(), 550.0 / 7.0, 1e-12);
  // Channels are not neighbours of each other.
  const at::Tensor both = at::cat({image, at::zeros_like(image)}, 1);
  EXPECT_NEAR(total_variation(both).item<double>(), 550.0 / 14.0, 1e-12);
  EXPECT_EQ(total_variation(at::full({1, 1, 1, 1}, 9, at::kByte)).item<double>(), 0.0);
  EXPECT_EQ(total_variation(at::zeros({0, 1, 4, 4}, at::kByte)).size(0), 0);
}

TEST(TotalVariation, OfAnImageDoesNotDependOnTheOthers) {
  const at::Tensor images = noise_images(7);
  const at::Tensor all = total_variation(images);
  EXPECT_EQ(all.scalar_type(), at::kDouble);
  EXPECT_TRUE(at::equal(total_variation(images.narrow(0, 4, 1)), all.narrow(0, 4, 1)));
}

TEST(UsualRange, LeavesOutAsManyOnEachSide) {
  const at::Tensor values = at::arange(10000, at::kDouble).flip({0});
  const UsualRange range = usual_range(values);
  EXPECT_NEAR(range.low, 4.9995, 1e-6);
  EXPECT_NEAR(range.high, 9994.0005, 1e-6);
  const UsualRange half = usual_range(values, 0.5);
  EXPECT_NEAR(half.low, 2499.75, 1e-6);
  EXPECT_NEAR(half.high, 7499.25, 1e-6);
  EXPECT_EQ(is_broken(values, range).sum().item<std::int64_t>(), 10);
}

TEST(BrokenImages, AreNoiseAndFlatOnesButNotRealOnes) {
  const UsualRange range = usual_range(total_variation(smooth_images(20000, 1)));
  EXPECT_LE(broken(smooth_images(2000, 2), range), 10);  // 2 are expected
  EXPECT_EQ(broken(noise_images(50), range), 50);
  for (const int grey : {0, 128, 255}) {
    EXPECT_EQ(broken(at::full({3, 1, 28, 28}, grey, at::kByte), range), 3) << grey;
  }
  // Grains in one image of a hundred.
  const at::Tensor some = smooth_images(100, 3);
  const std::int64_t before = broken(some, range);
  some[17].copy_(noise_images(1)[0]);
  EXPECT_EQ(broken(some, range), before + 1);
}

}  // namespace
}  // namespace cdm
