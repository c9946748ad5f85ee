// SPDX-License-Identifier: MIT
// Scores of images: scaling, dequantisation, units, estimates, and the Gaussian beside them.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "cdm/data/batches.h"
#include "cdm/eval/nll.h"
#include "support.h"

namespace cdm {
namespace {

using test::expect_close;

constexpr std::int64_t kLevels = 22;

at::Tensor some_images(std::int64_t count, std::uint64_t index = 1) {
  const std::int64_t size = 8;
  return integers({9, Purpose::noise, index}, count * size * size, 256)
      .to(at::kByte)
      .view({count, 1, size, size});
}

TEST(ScoreImages, IsTheLogDensityOfTheScaledImages) {
  const Model model = test::small_model(test::small_config());
  const at::Tensor images = some_images(5);
  for (const std::int64_t level : {std::int64_t{0}, std::int64_t{7}, kLevels - 1}) {
    ScoreOptions options;
    options.level = level;
    const at::Tensor scores = score_images(model, options, images, {}).log_prob;
    const at::Tensor expected = model.density().log_prob(to_unit_range(images, at::kDouble),
                                                         at::full({5}, level, at::kLong));
    EXPECT_EQ(scores.scalar_type(), at::kDouble);
    expect_close(scores, expected, 1e-13, "scores");
  }
}

TEST(ScoreImages, DoesNotDependOnTheBatchSizeAndTellsItsProgress) {
  const Model model = test::small_model(test::small_config());
  const at::Tensor images = some_images(7);
  for (const Dequantization kind : {Dequantization::none, Dequantization::uniform}) {
    ScoreOptions options;
    options.dequantization = kind;
    options.draws = 2;
    const at::Tensor whole = score_images(model, options, images, {}).log_prob;
    options.batch_size = 3;
    std::vector<std::int64_t> done;
    const at::Tensor pieces = score_images(model, options, images, {}, [&](std::int64_t count) {
                                done.push_back(count);
                              }).log_prob;
    expect_close(pieces, whole, 1e-13, "scores");
    EXPECT_THAT(done, testing::ElementsAre(3, 6, 7));
  }
  EXPECT_EQ(score_images(model, {}, images.narrow(0, 0, 0), {}).log_prob.size(0), 0);
}

TEST(ScoreImages, UsesTheLabelOfEachImage) {
  const Model model = test::small_model(test::small_config(20, 3));
  const at::Tensor images = some_images(1).repeat({4, 1, 1, 1});
  ScoreOptions options;
  options.batch_size = 3;
  const at::Tensor scores =
      score_images(model, options, images, at::tensor({0, 1, 1, 0}, at::kLong)).log_prob;
  EXPECT_EQ(scores[0].item<double>(), scores[3].item<double>());
  EXPECT_EQ(scores[1].item<double>(), scores[2].item<double>());
  EXPECT_NE(scores[0].item<double>(), scores[1].item<double>());
}

TEST(ScoreImages, UniformDequantisationSpreadsEachStepEvenly) {
  // T+1 = the standard normal: log p(x) = -x^2/2 + constant shows what x was.
  const Model model = test::small_model(test::small_config());
  const at::Tensor images = some_images(3);
  const auto square_norms = [&](std::uint64_t seed, std::int64_t draws) {
    ScoreOptions options;
    options.level = kLevels - 1;
    options.dequantization = Dequantization::uniform;
    options.seed = seed;
    options.draws = draws;
    const at::Tensor log_prob = score_images(model, options, images, {}).log_prob;
    return -2.0 * (log_prob + 32.0 * std::log(2.0 * std::numbers::pi));
  };
  const at::Tensor pixels = images.to(at::kDouble).flatten(1);
  const auto at_offset = [&](double within) {
    return ((pixels + within) / 128.0 - 1.0).square().sum(1);
  };
  // E (c + U / 128)^2 = (c + 1/256)^2 + 1 / (12 * 128^2), with a spread that 400 draws make small.
  const at::Tensor mean = at_offset(0.5) + 64.0 / (12.0 * 128.0 * 128.0);
  expect_close(square_norms(0, 400), mean, 2e-4, "mean over draws");
  EXPECT_GT(test::relative_error(at_offset(0.4), mean), 4e-4) << "the check above is blunt";

  EXPECT_TRUE(at::equal(square_norms(5, 1), square_norms(5, 1)));
  EXPECT_FALSE(at::equal(square_norms(5, 1), square_norms(6, 1)));
  // The first draw is among the two; and each image has noise of its own.
  const at::Tensor second = 2.0 * square_norms(5, 2) - square_norms(5, 1);
  EXPECT_FALSE(at::equal(second, square_norms(5, 1)));
  for (const at::Tensor& draw : {square_norms(5, 1), second}) {
    EXPECT_GT(test::relative_error(draw, mean), 1e-6);
    EXPECT_LT(test::relative_error(draw, mean), 0.02);
  }
}

TEST(ScoreImages, ImportanceWeightsAreTheLogarithmOfTheMeanDensity) {
  const Model model = test::small_model(test::small_config());
  const at::Tensor images = some_images(3);
  ScoreOptions options;
  options.dequantization = Dequantization::uniform;
  const Scores one = score_images(model, options, images, {});
  expect_close(one.importance_weighted, one.log_prob, 1e-13, "one draw");
  options.draws = 2;
  const Scores two = score_images(model, options, images, {});
  const at::Tensor second = 2.0 * two.log_prob - one.log_prob;
  const at::Tensor larger = at::maximum(one.log_prob, second);
  const at::Tensor mean_density = 0.5 * ((one.log_prob - larger).exp() + (second - larger).exp());
  expect_close(two.importance_weighted, larger + mean_density.log(), 1e-12, "two draws");
  EXPECT_TRUE(two.importance_weighted.gt(two.log_prob).all().item<bool>());
}

TEST(ScoreImages, LeavesValuesThatAreNoPixelsAsTheyAre) {
  const Model model = test::small_model(test::small_config());
  const at::Tensor x = test::numbers(8, {2, 1, 8, 8});
  const at::Tensor log_prob =
      model.density().log_prob(x.to(at::kFloat).to(at::kDouble), at::zeros({2}, at::kLong));
  expect_close(score_images(model, {}, x.to(at::kFloat), {}).log_prob, log_prob, 1e-12, "x");
}

TEST(ScoreImages, DrawsAreForDequantisationOnly) {
  const Model model = test::small_model(test::small_config());
  ScoreOptions options;
  const at::Tensor once = score_images(model, options, some_images(2), {}).log_prob;
  options.draws = 3;
  EXPECT_TRUE(at::equal(score_images(model, options, some_images(2), {}).log_prob, once));
}

TEST(BitsPerDim, AddsTheLogarithmOfStepsPerUnit) {
  EXPECT_DOUBLE_EQ(bits_offset(Dequantization::none), std::log(127.5) / std::log(2.0));
  EXPECT_DOUBLE_EQ(bits_offset(Dequantization::uniform), 7.0);
  // 8 bits for the uniform density over [-1, 1), one for each dimension.
  constexpr double kDimensions = 12.0;
  const at::Tensor log_prob = at::tensor({-kDimensions * std::numbers::ln2, 0.0}, at::kDouble);
  const at::Tensor bits = bits_per_dim(log_prob, 12, bits_offset(Dequantization::uniform));
  EXPECT_DOUBLE_EQ(bits[0].item<double>(), 8.0);
  EXPECT_DOUBLE_EQ(bits[1].item<double>(), 7.0);
}

TEST(EstimateMean, HasStandardErrorAndInterval) {
  const MeanEstimate estimate = estimate_mean(at::tensor({1.0, 2.0, 4.0, 9.0}, at::kDouble));
  EXPECT_DOUBLE_EQ(estimate.mean, 4.0);
  EXPECT_DOUBLE_EQ(estimate.standard_error, std::sqrt((9.0 + 4.0 + 0.0 + 25.0) / 3.0 / 4.0));
  EXPECT_NEAR(estimate.high - estimate.mean, 1.959964 * estimate.standard_error, 1e-6);
  EXPECT_DOUBLE_EQ(estimate.mean - estimate.low, estimate.high - estimate.mean);
  const MeanEstimate single = estimate_mean(at::tensor({3.0F}));
  EXPECT_EQ(single.mean, 3.0);
  EXPECT_TRUE(std::isnan(single.standard_error));
}

/// A Gaussian in two dimensions, by its formulas.
struct Plane {
  double mean_x, mean_y, xx, xy, yy;

  double log_density(double x, double y) const {
    const double determinant = xx * yy - xy * xy;
    const double dx = x - mean_x, dy = y - mean_y;
    const double distance = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant;
    return -0.5 * distance - 0.5 * std::log(determinant) - std::log(2.0 * std::numbers::pi);
  }
};

constexpr std::array<std::array<int, 2>, 5> kTrain = {
    {{10, 200}, {50, 180}, {90, 30}, {255, 0}, {7, 77}}};
constexpr std::array<std::array<int, 2>, 3> kTest = {{{0, 255}, {60, 90}, {255, 255}}};

template <std::size_t count>
at::Tensor images_of(const std::array<std::array<int, 2>, count>& pixels) {
  at::Tensor images = at::arange(static_cast<std::int64_t>(2 * count), at::kByte);
  for (std::size_t i = 0; i < 2 * count; ++i) {
    images[static_cast<std::int64_t>(i)].fill_(pixels[i / 2][i % 2]);
  }
  return images.view({static_cast<std::int64_t>(count), 1, 1, 2});
}

/// The Gaussian with the moments of kTrain, scaled, with the variance of one step added.
Plane fitted(double scale, double within, double step) {
  Plane plane = {};
  constexpr auto kCount = static_cast<double>(kTrain.size());
  const auto scaled = [&](int pixel) { return (pixel + within) / scale - 1.0; };
  for (const auto& [x, y] : kTrain) {
    plane.mean_x += scaled(x) / kCount;
    plane.mean_y += scaled(y) / kCount;
  }
  for (const auto& [x, y] : kTrain) {
    const double dx = scaled(x) - plane.mean_x, dy = scaled(y) - plane.mean_y;
    plane.xx += dx * dx / (kCount - 1.0);
    plane.xy += dx * dy / (kCount - 1.0);
    plane.yy += dy * dy / (kCount - 1.0);
  }
  plane.xx += step * step / 12.0;
  plane.yy += step * step / 12.0;
  return plane;
}

TEST(GaussianBitsPerDim, IsThatOfTheTrainingImagesMoments) {
  const at::Tensor bits =
      gaussian_bits_per_dim(images_of(kTrain), images_of(kTest), Dequantization::none);
  const Plane plane = fitted(127.5, 0.0, 1.0 / 127.5);
  for (std::size_t i = 0; i < kTest.size(); ++i) {
    const double log_density =
        plane.log_density(kTest[i][0] / 127.5 - 1.0, kTest[i][1] / 127.5 - 1.0);
    EXPECT_NEAR(bits[static_cast<std::int64_t>(i)].item<double>(),
                -log_density / (2.0 * std::numbers::ln2) + std::log2(127.5), 1e-9);
  }
}

TEST(GaussianBitsPerDim, AveragesOverDequantisation) {
  // The second dimension never changes: there a step's noise is all the variance there is.
  auto train = kTrain;
  for (auto& pixels : train) pixels[1] = 5;
  const at::Tensor bits = gaussian_bits_per_dim(
      images_of(train), images_of(std::array<std::array<int, 2>, 1>{{{60, 5}}}),
      Dequantization::uniform);
  Plane plane = fitted(128.0, 0.5, 1.0 / 128.0);
  plane.mean_y = 5.5 / 128.0 - 1.0;
  plane.xy = 0.0;
  plane.yy = 1.0 / (12.0 * 128.0 * 128.0);
  constexpr int kGrid = 200;
  double log_density = 0.0;
  for (int i = 0; i < kGrid; ++i) {
    for (int j = 0; j < kGrid; ++j) {
      log_density += plane.log_density((60 + (i + 0.5) / kGrid) / 128.0 - 1.0,
                                       (5 + (j + 0.5) / kGrid) / 128.0 - 1.0);
    }
  }
  log_density /= kGrid * kGrid;
  EXPECT_NEAR(bits[0].item<double>(), -log_density / (2.0 * std::numbers::ln2) + 7.0, 1e-4);
}

TEST(GaussianBitsPerDim, TakesImagesThatNeverChange) {
  const at::Tensor same = at::full({3, 1, 2, 2}, 9, at::kByte);
  for (const Dequantization kind : {Dequantization::none, Dequantization::uniform}) {
    const double bits = gaussian_bits_per_dim(same, same, kind)[0].item<double>();
    // One step's variance: log2 of the density's peak, sqrt(12 / 2 pi) steps^-1, and half a nat
    // where the noise is drawn.
    const double expected = -0.5 * std::log2(12.0 / (2.0 * std::numbers::pi)) +
                            (kind == Dequantization::none ? 0.0 : 0.5 / std::numbers::ln2);
    EXPECT_NEAR(bits, expected, 1e-9);
  }
}

}  // namespace
}  // namespace cdm
