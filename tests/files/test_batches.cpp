// SPDX-License-Identifier: MIT
// Training batches: which images, in which order, mirrored or not; and the range of pixels.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/data/batches.h"
#include "support.h"

namespace cdm {
namespace {

/// Image i holds i in its left column and 255 - i elsewhere; its label is 2 i.
Dataset numbered(std::int64_t count) {
  Dataset dataset;
  const at::Tensor numbers = at::arange(count, at::kByte).view({count, 1, 1, 1});
  dataset.images = numbers.bitwise_not().repeat({1, 1, 2, 3});
  dataset.images.narrow(3, 0, 1).copy_(numbers.expand({count, 1, 2, 1}));
  dataset.labels = at::arange(count, at::kLong).mul(2);
  return dataset;
}

/// The numbers of the images in a batch without flips.
std::vector<std::int64_t> numbers_of(const Batch& batch) {
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < batch.images.size(0); ++i) {
    numbers.push_back(batch.images[i][0][0][0].item<std::int64_t>());
    EXPECT_EQ(batch.labels[i].item<std::int64_t>(), 2 * numbers.back());
  }
  return numbers;
}

/// The numbers of all images up to that step.
std::vector<std::int64_t> sequence(BatchStream stream, std::int64_t steps) {
  std::vector<std::int64_t> all;
  for (std::int64_t k = 0; k < steps; ++k) {
    const std::vector<std::int64_t> batch = numbers_of(stream.at_step(k));
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

DataConfig flips(bool flip) {
  DataConfig config;
  config.horizontal_flip = flip;
  return config;
}

BatchStream stream_of(std::int64_t images, std::int64_t batch_size, std::uint64_t seed = 3,
                      bool flip = false) {
  return {numbered(images), batch_size, seed, flips(flip), at::kCPU};
}

TEST(Batches, RowsMayShareImages) {
  const auto numbers_at = [](BatchStream stream, std::int64_t step) {
    return numbers_of(stream.at_step(step));
  };
  for (const std::int64_t step :
       {0, 1, 4}) {  // the fourth one begins in one epoch, ends in the next
    std::vector<std::int64_t> twice;
    for (const std::int64_t number : numbers_at(stream_of(10, 4), step)) {
      twice.insert(twice.end(), 2, number);
    }
    BatchStream shared(numbered(10), 8, 3, flips(false), at::kCPU, /*rows_per_image=*/2);
    EXPECT_EQ(numbers_of(shared.at_step(step)), twice);
    const std::vector<std::int64_t> part(twice.begin() + 3, twice.begin() + 6);
    EXPECT_EQ(numbers_of(shared.at_step(StreamIndex(step), 3, 3)), part);
  }
}

TEST(Batches, AStepInMemoryGathersTheBatchOfThatStep) {
  for (const std::int64_t batch_size : {1, 4, 10, 23}) {
    BatchStream by_number = stream_of(10, batch_size, 3, true);
    BatchStream by_memory = stream_of(10, batch_size, 3, true);
    const at::Tensor step = at::zeros({}, at::kLong);
    for (const std::int64_t k : {0, 1, 2, 3, 4, 17, 18, 2}) {
      step.fill_(k);
      by_memory.prepare(k);
      const Batch expected = by_number.at_step(k, 0, batch_size);
      const Batch batch = by_memory.at_step(step, 0, batch_size);
      EXPECT_TRUE(at::equal(batch.images, expected.images)) << "step " << k;
      EXPECT_TRUE(at::equal(batch.labels, expected.labels)) << "step " << k;
    }
  }
}

TEST(Batches, EveryEpochHasEachImageOnceInAnOrderOfItsOwn) {
  for (const std::int64_t batch_size : {1, 4, 10, 23}) {  // within, across and beyond epochs
    constexpr std::int64_t kImages = 10;
    const std::vector<std::int64_t> all = sequence(stream_of(kImages, batch_size), 60);
    std::vector<std::vector<std::int64_t>> epochs;
    for (std::size_t first = 0; first + kImages <= all.size(); first += kImages) {
      epochs.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(first),
                          all.begin() + static_cast<std::ptrdiff_t>(first) + kImages);
      std::vector<std::int64_t> sorted = epochs.back();
      std::sort(sorted.begin(), sorted.end());
      std::vector<std::int64_t> each(kImages);
      std::iota(each.begin(), each.end(), 0);
      ASSERT_EQ(sorted, each) << "batch size " << batch_size << ", epoch " << epochs.size() - 1;
    }
    EXPECT_NE(epochs[0], epochs[1]);
    EXPECT_NE(epochs[1], epochs[2]);
  }
}

TEST(Batches, TheOrderDoesNotDependOnTheBatchSize) {
  const std::vector<std::int64_t> one = sequence(stream_of(10, 1), 60);
  EXPECT_EQ(sequence(stream_of(10, 4), 15), one);
  EXPECT_EQ(sequence(stream_of(10, 30), 2), one);
}

TEST(Batches, AStepDoesNotDependOnThoseBefore) {
  for (const bool flip : {false, true}) {
    BatchStream in_order = stream_of(10, 4, 3, flip);
    std::vector<Batch> batches;
    for (std::int64_t k = 0; k < 12; ++k) batches.push_back(in_order.at_step(k));
    BatchStream jumping = stream_of(10, 4, 3, flip);
    for (const std::int64_t k : {11, 0, 7, 7, 2, 10}) {
      const Batch batch = jumping.at_step(k);
      EXPECT_TRUE(at::equal(batch.images, batches[static_cast<std::size_t>(k)].images)) << k;
      EXPECT_TRUE(at::equal(batch.labels, batches[static_cast<std::size_t>(k)].labels)) << k;
    }
  }
}

TEST(Batches, AnotherSeedIsAnotherOrder) {
  EXPECT_EQ(sequence(stream_of(100, 10, 3), 10), sequence(stream_of(100, 10, 3), 10));
  EXPECT_NE(sequence(stream_of(100, 10, 3), 10), sequence(stream_of(100, 10, 4), 10));
}

TEST(Batches, MirrorsAboutHalfAndOnlyWhereAskedTo) {
  BatchStream plain = stream_of(100, 40, 3, false);
  BatchStream flipped = stream_of(100, 40, 3, true);
  std::int64_t mirrored = 0;
  constexpr std::int64_t kSteps = 50;
  bool steps_differ = false;
  at::Tensor before;
  for (std::int64_t k = 0; k < kSteps; ++k) {
    const at::Tensor originals = plain.at_step(k).images;
    const Batch batch = flipped.at_step(k);
    EXPECT_TRUE(at::equal(batch.labels, plain.at_step(k).labels));
    const at::Tensor same = batch.images.eq(originals).flatten(1).all(1);
    const at::Tensor mirror = batch.images.eq(originals.flip({3})).flatten(1).all(1);
    EXPECT_TRUE(same.logical_xor(mirror).all().item<bool>());
    mirrored += mirror.sum().item<std::int64_t>();
    steps_differ |= before.defined() && !at::equal(mirror, before);
    before = mirror;
  }
  EXPECT_NEAR(static_cast<double>(mirrored) / (kSteps * 40), 0.5, 0.04);  // 3.6 standard deviations
  EXPECT_TRUE(steps_differ);
}

TEST(Batches, DataWithoutLabelsHasNone) {
  Dataset dataset = numbered(5);
  dataset.labels = at::Tensor();
  EXPECT_FALSE(BatchStream(dataset, 2, 0, flips(true), at::kCPU).at_step(0).labels.defined());
}

TEST(Pixels, FillTheRangeFromMinusOneToOne) {
  const at::Tensor all = at::arange(256, at::kByte);
  const at::Tensor x = to_unit_range(all, at::kDouble);
  EXPECT_EQ(x[0].item<double>(), -1.0);
  EXPECT_EQ(x[255].item<double>(), 1.0);
  for (std::int64_t u = 0; u < 256; ++u) {
    EXPECT_EQ(x[u].item<double>(), static_cast<double>(u) / 255.0 * 2.0 - 1.0) << u;
  }
  const at::Tensor narrow = to_unit_range(all, at::kFloat);
  EXPECT_EQ(narrow.scalar_type(), at::kFloat);
  EXPECT_EQ(narrow[255].item<float>(), 1.0F);
  test::expect_close(narrow, x, 1e-7, "float32");
  EXPECT_TRUE(at::equal(all, at::arange(256, at::kByte))) << "changed in place";
}

TEST(Pixels, AreSpreadOverTheirStep) {
  const at::Tensor pixels = at::arange(256, at::kByte).view({16, 1, 4, 4});
  const RandomStream stream = {3, Purpose::dequantize, 5};
  const auto scaled = [&](const at::Tensor& some, std::int64_t first) {
    return to_model_scale(some, at::kDouble, Dequantization::uniform, stream, first);
  };
  const at::Tensor within = (scaled(pixels, 0) + 1.0) * 128.0 - pixels.to(at::kDouble);
  EXPECT_GE(within.min().item<double>(), 0.0);
  EXPECT_LT(within.max().item<double>(), 1.0);
  EXPECT_NEAR(within.mean().item<double>(), 0.5, 0.08);
  EXPECT_NEAR(within.var().item<double>(), 1.0 / 12.0, 0.02);
  EXPECT_TRUE(at::equal(scaled(pixels.narrow(0, 4, 3), 4), scaled(pixels, 0).narrow(0, 4, 3)));
  EXPECT_TRUE(at::equal(to_model_scale(pixels, at::kDouble, Dequantization::none, stream),
                        to_unit_range(pixels, at::kDouble)));
  const at::Tensor values = within.to(at::kFloat);
  EXPECT_TRUE(
      at::equal(to_model_scale(values, at::kFloat, Dequantization::uniform, stream), values));
}

TEST(Pixels, ComeBackRoundedAndClamped) {
  const at::Tensor all = at::arange(256, at::kByte);
  EXPECT_TRUE(at::equal(to_pixels(to_unit_range(all, at::kDouble)), all));
  EXPECT_TRUE(at::equal(to_pixels(to_unit_range(all, at::kFloat)), all));
  const at::Tensor x = at::tensor({-7.0, -1.0, -0.997, -0.995, 0.0, 0.9961, 0.995, 3.0});
  EXPECT_TRUE(at::equal(to_pixels(x), at::tensor({0, 0, 0, 1, 128, 255, 254, 255}, at::kByte)));
  EXPECT_EQ(x[0].item<double>(), -7.0F) << "changed in place";
}

}  // namespace
}  // namespace cdm
