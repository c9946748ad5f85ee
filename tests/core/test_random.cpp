// SPDX-License-Identifier: MIT
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "cdm/device/cuda_kernels.h"
#include "cdm/device/device.h"
#include "cdm/device/random.h"
#include "cdm/device/random_rows.h"
#include "cdm/ops/cuda_kernels.h"

namespace cdm {
namespace {

const RandomStream kStream = {5, Purpose::noise, 3};

TEST(Random, RowsDependOnTheirNumberOnly) {
  const at::Tensor whole = normal(kStream, {7, 3, 5}, at::kFloat);
  const at::Tensor part = normal(kStream, {2, 3, 5}, at::kFloat, /*first_row=*/4);
  EXPECT_TRUE(at::equal(part, whole.narrow(0, 4, 2)));
}

TEST(Random, StreamsDiffer) {
  const at::Tensor base = normal(kStream, {1, 64}, at::kFloat);
  for (const RandomStream& other :
       {RandomStream{6, Purpose::noise, 3}, RandomStream{5, Purpose::flip, 3},
        RandomStream{5, Purpose::noise, 4}}) {
    EXPECT_LT(normal(other, {1, 64}, at::kFloat).eq(base).sum().item<int>(), 2);
  }
}

TEST(Random, NormalHasTheMomentsOfANormal) {
  const at::Tensor x = normal(kStream, {64, 16001}, at::kDouble);
  EXPECT_NEAR(x.mean().item<double>(), 0.0, 4e-3);
  EXPECT_NEAR(x.square().mean().item<double>(), 1.0, 6e-3);
  EXPECT_NEAR(x.pow(4).mean().item<double>(), 3.0, 5e-2);
  EXPECT_NEAR((x.narrow(1, 0, 16000) * x.narrow(1, 1, 16000)).mean().item<double>(), 0.0, 4e-3);
  EXPECT_GT(x.abs().max().item<double>(), 4.0);
}

TEST(Random, UniformFillsTheUnitInterval) {
  const at::Tensor x = uniform(kStream, {10, 10007}, at::kFloat);
  EXPECT_GE(x.min().item<float>(), 0.0F);
  EXPECT_LT(x.max().item<float>(), 1.0F);
  EXPECT_NEAR(x.mean().item<float>(), 0.5F, 5e-3F);
  EXPECT_NEAR(x.to(at::kDouble).var().item<double>(), 1.0 / 12.0, 1e-3);
}

TEST(Random, IntegersAreUniformAndInRange) {
  constexpr std::int64_t kBound = 7;
  const at::Tensor x = integers(kStream, 70000, kBound);
  EXPECT_EQ(x.min().item<std::int64_t>(), 0);
  EXPECT_EQ(x.max().item<std::int64_t>(), kBound - 1);
  for (std::int64_t value = 0; value < kBound; ++value) {
    EXPECT_NEAR(x.eq(value).sum().item<double>(), 10000.0, 400.0) << value;
  }
}

TEST(Random, PermutationHasEveryNumberOnce) {
  const at::Tensor order = permutation(kStream, 1000);
  EXPECT_TRUE(at::equal(std::get<0>(order.sort()), at::arange(1000)));
  EXPECT_FALSE(at::equal(order, at::arange(1000)));
  EXPECT_FALSE(at::equal(order, permutation({5, Purpose::noise, 4}, 1000)));
}

TEST(Random, AnIndexInMemoryIsReadWhenNumbersAreDrawn) {
  const at::Tensor number = at::full({}, 3, at::kLong);
  const RandomStream there = {5, Purpose::noise, number};
  for (const std::int64_t index : {3, 11}) {
    number.fill_(index);
    const RandomStream here = {5, Purpose::noise, index};
    EXPECT_TRUE(
        at::equal(normal(there, {2, 7}, at::kFloat, 4), normal(here, {2, 7}, at::kFloat, 4)));
    EXPECT_TRUE(at::equal(uniform(there, {2, 7}, at::kFloat), uniform(here, {2, 7}, at::kFloat)));
    EXPECT_TRUE(at::equal(integers(there, 50, 1000, 4), integers(here, 50, 1000, 4)));
    EXPECT_TRUE(at::equal(random_rows(there, Purpose::dropout, 6, at::kCPU),
                          random_rows(derived_seed(here), Purpose::dropout, 6, at::kCPU)));
  }
  EXPECT_THROW(derived_seed(there), c10::Error);
  EXPECT_THROW(integers(there, 2, 7, (1LL << 32) - 1), c10::Error);
}

TEST(Random, OutOfRangeIndicesThrow) {
  EXPECT_THROW(normal({0, Purpose::noise, 1ULL << 32}, {1, 1}, at::kFloat), c10::Error);
  EXPECT_THROW(normal(kStream, {2, 1}, at::kFloat, (1LL << 32) - 1), c10::Error);
}

TEST(Random, KernelsAreNeverOnOnTheCpu) {
  use_own_cuda_kernels(true, at::kCPU);
  EXPECT_FALSE(own_cuda_kernels());
}

TEST(Random, KernelsDrawTheNumbersOfTheHost) {
  const at::Device device = resolve_device("auto");
  if (!device.is_cuda() || !CDM_HAS_CUDA_KERNELS) GTEST_SKIP() << "no CUDA device, or no kernels";
  const at::TensorOptions there = at::TensorOptions().dtype(at::kFloat).device(device);
  use_own_cuda_kernels(true, device);
  for (const std::vector<std::int64_t>& shape : std::vector<std::vector<std::int64_t>>{
           {1, 1}, {3, 5}, {7, 3, 32, 32}, {5, 0}, {2, 1000003}}) {
    const at::Tensor u = uniform(kStream, shape, there, 2);
    const at::Tensor z = normal(kStream, shape, there, 2);
    EXPECT_EQ(u.device(), device);
    EXPECT_TRUE(at::equal(u.cpu(), uniform(kStream, shape, at::kFloat, 2))) << u.sizes();
    if (z.numel() > 0) {  // logf and cosf may differ in the last bits
      EXPECT_LT((z.cpu() - normal(kStream, shape, at::kFloat, 2)).abs().max().item<float>(), 1e-5F)
          << z.sizes();
    }
  }
  const RandomStream by_memory = {kStream.seed, kStream.purpose,
                                  at::full({}, 3, there.dtype(at::kLong))};
  for (const RandomStream& stream : {kStream, by_memory}) {
    EXPECT_TRUE(
        at::equal(integers(stream, 1000, 997, 2, device).cpu(), integers(kStream, 1000, 997, 2)));
    EXPECT_TRUE(at::equal(uniform(stream, {3, 5}, there, 2).cpu(),
                          uniform(kStream, {3, 5}, at::kFloat, 2)));
    EXPECT_TRUE(at::equal(random_rows(stream, Purpose::dropout, 6, device).cpu(),
                          random_rows(kStream, Purpose::dropout, 6, at::kCPU)));
  }
  use_own_cuda_kernels(false, device);
}

// Pins the numbers themselves: a change here changes every run of every user.
TEST(Random, KnownAnswer) {
  const at::Tensor u = uniform({0, Purpose::noise, 0}, {1, 4}, at::kFloat);
  const at::Tensor z = normal({0, Purpose::noise, 0}, {1, 4}, at::kFloat);
  const float* const a = u.const_data_ptr<float>();
  const float* const b = z.const_data_ptr<float>();
  for (int pair = 0; pair < 4; pair += 2) {
    const float radius = std::sqrt(-2.0F * std::log(a[pair] + 0x1p-24F));
    EXPECT_NEAR(b[pair], radius * std::cos(6.2831853F * a[pair + 1]), 1e-5F);
    EXPECT_NEAR(b[pair + 1], radius * std::sin(6.2831853F * a[pair + 1]), 1e-5F);
  }
  // From an independent Philox4x32-10 in Python.
  EXPECT_FLOAT_EQ(a[0], 0.5357248187065125F);
  EXPECT_FLOAT_EQ(a[1], 0.6533554792404175F);
  EXPECT_FLOAT_EQ(a[2], 0.2199888825416565F);
  EXPECT_FLOAT_EQ(a[3], 0.6452295184135437F);
}

}  // namespace
}  // namespace cdm
