// SPDX-License-Identifier: MIT
// Distances between sets of features: against NumPy and SciPy (tests/python/
// make_frechet_fixtures.py), closed forms, and wrong input.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cdist.h>
#include <ATen/ops/diag.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <tuple>

#include "cdm/eval/feature_statistics.h"
#include "cdm/eval/frechet.h"
#include "cdm/io/npz.h"
#include "files.h"
#include "support.h"

namespace cdm {
namespace {

using test::error_in;
using test::expect_close;
using test::mentions;
using test::numbers;
using test::user_error;

at::Tensor fixture(const std::string& name) {
  return read_npz(std::filesystem::path(CDM_TEST_DATA) / "data" / "frechet.npz", name);
}

double fixture_value(const std::string& name) { return fixture(name).item<double>(); }

FeatureMoments moments_of(const at::Tensor& features, const std::string& source = "some images") {
  FeatureStatistics statistics(features.size(1));
  statistics.add(features);
  return statistics.moments(source);
}

FeatureMoments gaussian(const at::Tensor& mean, const at::Tensor& covariance) {
  return {"a Gaussian", 0, mean, covariance};
}

void expect_near(double actual, double expected, double relative) {
  EXPECT_NEAR(actual, expected, relative * std::abs(expected));
}

TEST(FeatureStatistics, AgreesWithNumPy) {
  const FeatureMoments moments = moments_of(fixture("x"));
  EXPECT_EQ(moments.count, 160);
  EXPECT_EQ(moments.dimensions(), 24);
  expect_close(moments.mean, fixture("x_mean"), 1e-13, "mean");
  expect_close(moments.covariance, fixture("x_covariance"), 1e-12, "covariance");
}

TEST(FeatureStatistics, DoesNotDependOnTheBatches) {
  // So far from 0 that sums of squares would lose all digits.
  const at::Tensor x = numbers(1, {101, 7}) + 1e8;
  const FeatureMoments whole = moments_of(x);
  for (const std::int64_t size : {1, 2, 10, 100}) {
    FeatureStatistics statistics(7);
    statistics.add(x.narrow(0, 0, 0));
    for (std::int64_t first = 0; first < x.size(0); first += size) {
      statistics.add(x.narrow(0, first, std::min(size, x.size(0) - first)));
    }
    EXPECT_EQ(statistics.count(), 101);
    const FeatureMoments pieces = statistics.moments("pieces");
    expect_close(pieces.mean, whole.mean, 1e-15, "mean");
    expect_close(pieces.covariance, whole.covariance, 1e-7, "covariance");
  }
  const at::Tensor centred = x - 1e8;
  const at::Tensor exact = centred - centred.mean(0);
  expect_close(whole.covariance, exact.t().mm(exact) / 100.0, 1e-7, "covariance");
}

TEST(FeatureStatistics, NeedsTwoImages) {
  EXPECT_THAT(user_error([] {
                moments_of(at::ones({1, 3}), "one.npz");
              }),
              error_in("one.npz", "1 image", "at least 2", "3 features"));
  EXPECT_THAT(user_error([] { FeatureStatistics(3).moments("none"); }),
              error_in("none", "0 images"));
}

TEST(FeatureStatistics, WarnsOfTooFewImages) {
  EXPECT_EQ(rank_warning(moments_of(numbers(1, {4, 3}))), "");
  EXPECT_THAT(rank_warning(moments_of(numbers(1, {3, 3}), "few.npz")),
              error_in("few.npz", "3 images", "3 features", "rank", "at least 4"));
  EXPECT_EQ(rank_warning(gaussian(at::zeros({3}, at::kDouble), at::eye(3, at::kDouble))), "");
}

class Moments : public test::FilesTest {
 protected:
  void write(const at::Tensor& mu, const at::Tensor& sigma) const {
    NpzWriter writer(file_);
    writer.write("mu", mu);
    writer.write("mu_s", at::zeros({5}));  // as in ADM's files
    writer.write("sigma", sigma);
    writer.write("sigma_s", at::zeros({5, 5}));
    writer.close();
  }
  std::string refusal() const {
    return user_error([&] { read_moments(file_); });
  }

  std::filesystem::path file_ = folder_ / "statistics.npz";
};

TEST_F(Moments, ComeBackAsTheyWere) {
  const FeatureMoments written = moments_of(numbers(1, {20, 4}));
  write_moments(file_, written);
  EXPECT_TRUE(holds_moments(file_));
  const FeatureMoments read = read_moments(file_);
  EXPECT_TRUE(at::equal(read.mean, written.mean));
  EXPECT_TRUE(at::equal(read.covariance, written.covariance));
  EXPECT_EQ(read.source, file_.string());
  EXPECT_EQ(read.count, 0);
}

TEST_F(Moments, MayBeFloat32BesideOtherArrays) {
  write(at::tensor({1.0, 2.0}, at::kFloat),
        at::tensor({2.0, 0.5, 0.5000001, 1.0}, at::kFloat).view({2, 2}));
  EXPECT_TRUE(holds_moments(file_));
  const FeatureMoments read = read_moments(file_);
  EXPECT_EQ(read.mean.scalar_type(), at::kDouble);
  EXPECT_EQ(read.covariance.scalar_type(), at::kDouble);
  EXPECT_TRUE(at::equal(read.covariance, read.covariance.t()));
  expect_close(read.mean, at::tensor({1.0, 2.0}, at::kDouble), 0.0, "mean");
}

TEST_F(Moments, AreToldFromImages) {
  NpzWriter writer(file_);
  writer.write("arr_0", at::zeros({2, 4, 4, 3}, at::kByte));
  writer.close();
  EXPECT_FALSE(holds_moments(file_));
  EXPECT_THAT(refusal(), error_in(file_, "no array", "'mu'"));
}

TEST_F(Moments, AreRefusedWhenTheyAreNone) {
  const at::Tensor mean = at::zeros({2}, at::kDouble);
  const at::Tensor covariance = at::eye(2, at::kDouble);

  write(mean.view({1, 2}), covariance);
  EXPECT_THAT(refusal(), error_in(file_, "'mu'", "[1, 2]", "[D]"));
  write(mean.narrow(0, 0, 0), covariance);
  EXPECT_THAT(refusal(), error_in(file_, "'mu'", "[0]", "[D]"));
  write(mean, at::eye(3, at::kDouble));
  EXPECT_THAT(refusal(), error_in(file_, "'sigma'", "[3, 3]", "[2, 2]"));
  write(mean, at::ones({2}, at::kDouble));
  EXPECT_THAT(refusal(), error_in(file_, "'sigma'", "[2]", "[2, 2]"));
  write(mean.to(at::kLong), covariance);
  EXPECT_THAT(refusal(), error_in(file_, "'mu'", "Long", "float32", "float64"));
  write(mean, covariance * std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(refusal(), error_in(file_, "'sigma'", "NaN"));
  write(mean / 0.0 + 1.0, covariance);
  EXPECT_THAT(refusal(), error_in(file_, "'mu'", "NaN"));
  write(mean, at::tensor({1.0, 0.5, 0.4, 1.0}, at::kDouble).view({2, 2}));
  EXPECT_THAT(refusal(), error_in(file_, "'sigma'", "symmetric"));
  write(mean, at::diag(at::tensor({1.0, -0.5}, at::kDouble)));
  EXPECT_THAT(refusal(), error_in(file_, "'sigma'", "negative"));
}

TEST(FrechetDistance, AgreesWithSciPy) {
  const FeatureMoments x = moments_of(fixture("x")), y = moments_of(fixture("y"));
  expect_near(frechet_distance(x, y), fixture_value("frechet"), 1e-8);
  expect_near(frechet_distance(y, x), fixture_value("frechet"), 1e-8);
}

TEST(FrechetDistance, AgreesForFewerImagesThanFeatures) {
  const FeatureMoments x = moments_of(fixture("x").narrow(0, 0, 10));
  const FeatureMoments y = moments_of(fixture("y").narrow(0, 0, 15));
  expect_near(frechet_distance(x, y), fixture_value("frechet_of_few"), 1e-7);
  EXPECT_NEAR(frechet_distance(x, x), 0.0, 1e-12);
}

TEST(FrechetDistance, IsThatOfTwoGaussians) {
  // Diagonal covariances: sum of (mu_a - mu_b)^2 + (s_a - s_b)^2.
  const at::Tensor mean_a = at::tensor({0.0, 1.0, -2.0}, at::kDouble);
  const at::Tensor mean_b = at::tensor({0.5, 1.0, 1.0}, at::kDouble);
  const at::Tensor deviation_a = at::tensor({1.0, 0.1, 3.0}, at::kDouble);
  const at::Tensor deviation_b = at::tensor({2.0, 0.0, 2.5}, at::kDouble);
  const FeatureMoments a = gaussian(mean_a, at::diag(deviation_a.square()));
  const FeatureMoments b = gaussian(mean_b, at::diag(deviation_b.square()));
  const double expected = 0.25 + 9.0 + 1.0 + 0.01 + 0.25;
  expect_near(frechet_distance(a, b), expected, 1e-14);
  EXPECT_NEAR(frechet_distance(a, a), 0.0, 1e-14);

  // In another basis it is the same.
  const at::Tensor turn =
      at::tensor({0.6, 0.8, 0.0, -0.8, 0.6, 0.0, 0.0, 0.0, 1.0}, at::kDouble).view({3, 3});
  const auto turned = [&](const FeatureMoments& m) {
    return gaussian(turn.mv(m.mean), turn.mm(m.covariance).mm(turn.t()));
  };
  expect_near(frechet_distance(turned(a), turned(b)), expected, 1e-8);
}

TEST(FrechetDistance, NeedsOneNetwork) {
  FeatureMoments a = gaussian(at::zeros({2}, at::kDouble), at::eye(2, at::kDouble));
  FeatureMoments b = gaussian(at::zeros({3}, at::kDouble), at::eye(3, at::kDouble));
  a.source = "a.npz";
  b.source = "b.npz";
  EXPECT_THAT(user_error([&] { frechet_distance(a, b); }),
              error_in("a.npz", "2 features", "b.npz has 3", "one network"));
}

TEST(KernelDistance, AgreesWithNumPy) {
  const KernelDistance distance =
      kid(fixture("x").narrow(0, 0, 130), fixture("y"), /*subsets=*/1, /*size=*/130);
  expect_near(distance.mean, fixture_value("kid"), 1e-8);
  EXPECT_EQ(distance.deviation, 0.0);
  EXPECT_EQ(distance.size, 130);
}

TEST(KernelDistance, IsAMeanOverSubsets) {
  const at::Tensor x = fixture("x").narrow(0, 0, 130), y = fixture("y");
  const double whole = fixture_value("kid");  // what subsets give on average
  const KernelDistance some = kid(x, y, 200, 40, 3);
  EXPECT_EQ(some.subsets, 200);
  EXPECT_EQ(some.size, 40);
  EXPECT_GT(some.deviation, 0.01 * whole);
  EXPECT_NEAR(some.mean, whole, 4.0 * some.deviation / std::sqrt(200.0));
  EXPECT_EQ(kid(x, y, 200, 40, 3).mean, some.mean);
  EXPECT_NE(kid(x, y, 200, 40, 4).mean, some.mean);

  // Two values of mean m and deviation s are m - s and m + s.
  const KernelDistance first = kid(x, y, 1, 40, 3), two = kid(x, y, 2, 40, 3);
  expect_near(std::abs(first.mean - two.mean), two.deviation, 1e-9);
}

TEST(KernelDistance, OfOneDistributionIsNoughtOnAverage) {
  const KernelDistance same = kid(numbers(1, {500, 5}), numbers(2, {500, 5}), 100, 100);
  EXPECT_LT(std::abs(same.mean), 3.0 * same.deviation);
  // Two sides that hold the same images are drawn from independently: the same draw on both would
  // give -2 / 50 of the kernel's excess on the diagonal, which is about 9.
  const KernelDistance itself = kid(numbers(1, {500, 5}), numbers(1, {500, 5}), 400, 50);
  EXPECT_NEAR(itself.mean, 0.0, 0.15);
  const KernelDistance other = kid(numbers(1, {500, 5}), numbers(2, {500, 5}) + 1.0, 100, 100);
  EXPECT_GT(other.mean, 5.0 * other.deviation);
}

TEST(KernelDistance, TakesNoMoreImagesThanThereAre) {
  EXPECT_EQ(kid(numbers(1, {30, 2}), numbers(2, {20, 2})).size, 20);
  EXPECT_THAT(user_error([] {
                kid(numbers(1, {30, 2}), numbers(2, {1, 2}));
              }),
              mentions("kernel distance", "at least 2 images", "30", "1"));
  EXPECT_THAT(user_error([] {
                kid(numbers(1, {30, 2}), numbers(2, {30, 3}));
              }),
              mentions("kernel distance", "2 features", "3", "one network"));
}

TEST(PrecisionRecall, AgreesWithNumPy) {
  for (const std::int64_t k : {1, 3}) {
    const PrecisionRecall shares = precision_recall(fixture("x"), fixture("y"), k);
    EXPECT_EQ(shares.precision, fixture_value(concat("precision_", k)));
    EXPECT_EQ(shares.recall, fixture_value(concat("recall_", k)));
  }
}

TEST(PrecisionRecall, OfSetsOnALine) {
  // Real 0, 1, 2, 3, ... 9: with k = 1 every ball reaches 1 to either side, up to and including.
  const at::Tensor real = at::arange(10, at::kDouble).view({10, 1});
  const at::Tensor fake = at::tensor({-1.0, 10.5, 4.5, 4.25}, at::kDouble).view({4, 1});
  const PrecisionRecall shares = precision_recall(real, fake, 1);
  EXPECT_EQ(shares.precision, 0.75);
  // Balls: about -1, radius 5.25; about 10.5, radius 6; about 4.5 and 4.25, radius 0.25.
  EXPECT_EQ(shares.recall, 1.0);

  const PrecisionRecall equal = precision_recall(real, real);
  EXPECT_EQ(equal.precision, 1.0);
  EXPECT_EQ(equal.recall, 1.0);
  const PrecisionRecall apart = precision_recall(real, real + 100.0);
  EXPECT_EQ(apart.precision, 0.0);
  EXPECT_EQ(apart.recall, 0.0);
  // A generator that gives one region only: precise, and far from complete.
  const PrecisionRecall narrow = precision_recall(real, real.narrow(0, 0, 4) / 4.0);
  EXPECT_EQ(narrow.precision, 1.0);
  EXPECT_EQ(narrow.recall, 0.2);
}

TEST(PrecisionRecall, IsTheSameInBlocks) {
  // More rows than fit one block of distances, against one table of them all.
  const at::Tensor real = numbers(1, {2200, 2}), fake = numbers(2, {2100, 2}) * 0.7;
  const PrecisionRecall shares = precision_recall(real, fake);
  const auto radii = [](const at::Tensor& x) {
    return std::get<0>(at::cdist(x, x, 2.0, /*compute_mode=*/2).kthvalue(4, 1));
  };
  const at::Tensor across = at::cdist(fake, real, 2.0, /*compute_mode=*/2);
  const auto share = [](const at::Tensor& within) {
    return within.to(at::kDouble).mean().item<double>();
  };
  EXPECT_EQ(shares.precision, share((across <= radii(real)).any(1)));
  EXPECT_EQ(shares.recall, share((across.t() <= radii(fake)).any(1)));
  EXPECT_LT(shares.recall, 0.98);
}

TEST(PrecisionRecall, NeedsNeighbours) {
  EXPECT_THAT(user_error([] {
                precision_recall(numbers(1, {3, 2}), numbers(2, {30, 2}));
              }),
              mentions("precision and recall", "k = 3", "at least 4 images", "3 and 30"));
  EXPECT_NO_THROW(precision_recall(numbers(1, {4, 2}), numbers(2, {4, 2})));
}

}  // namespace
}  // namespace cdm
