// SPDX-License-Identifier: MIT
// Data of known density: draws against the density, and the density against closed forms.
#include <ATen/TensorOperators.h>
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "cdm/data/batches.h"
#include "cdm/data/toy.h"
#include "files.h"
#include "support.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using testing::HasSubstr;

class Toy : public test::FilesTest {
 protected:
  Toy() { test::write_images((folder_ / "images.npz").string(), 1100, false, 4, 8, 3); }

  DataConfig config(ToyKind toy, double width = 1.0) const {
    DataConfig data = RunConfig().data;
    data.kind = DataKind::toy;
    data.toy = toy;
    data.toy_width = width;
    data.toy_images = 100;
    data.image_size = 4;
    data.channels = toy == ToyKind::gaussian ? 3 : 1;
    data.horizontal_flip = false;
    if (toy == ToyKind::gaussian) data.path = (folder_ / "images.npz").string();
    return data;
  }
};

TEST_F(Toy, UniformIsEvenOnItsCube) {
  const auto uniform = make_toy_density(config(ToyKind::uniform, 0.5));
  const at::Tensor x = uniform->sample(4000, Split::train);
  EXPECT_EQ(x.sizes(), at::IntArrayRef({4000, 1, 4, 4}));
  EXPECT_LE(x.abs().max().item<double>(), 0.25);
  EXPECT_NEAR(x.mean().item<double>(), 0.0, 0.003);
  EXPECT_NEAR(x.var().item<double>(), 0.25 / 12.0, 0.0003);
  const at::Tensor log_prob = uniform->log_prob(x);
  EXPECT_NEAR(log_prob.min().item<double>(), 16.0 * std::log(2.0), 1e-12);
  EXPECT_NEAR(log_prob.max().item<double>(), 16.0 * std::log(2.0), 1e-12);
  at::Tensor outside = at::zeros({1, 1, 4, 4});
  outside[0][0][2][3] = 0.26;
  EXPECT_TRUE(std::isinf(uniform->log_prob(outside).item<double>()));
}

TEST_F(Toy, PeaksAreTwoGaussians) {
  const auto peaks = make_toy_density(config(ToyKind::peaks, 0.05));
  const at::Tensor x = peaks->sample(4000, Split::train);
  const at::Tensor centre = x.mean({1, 2, 3});
  EXPECT_NEAR(centre.gt(0).to(at::kFloat).mean().item<double>(), 0.5, 0.03);
  EXPECT_NEAR((x - 0.5 * centre.sign().view({-1, 1, 1, 1})).std().item<double>(), 0.05, 0.001);
  // At a peak the other one is nothing: log p = -log 2 - 16 log(w sqrt(2 pi)).
  const double at_peak = -std::log(2.0) - 16.0 * std::log(0.05 * std::sqrt(2.0 * std::numbers::pi));
  const at::Tensor points = at::full({1, 1, 4, 4}, 0.5);
  EXPECT_NEAR(peaks->log_prob(points).item<double>(), at_peak, 1e-10);
  EXPECT_NEAR(peaks->log_prob(-points).item<double>(), at_peak, 1e-10);
  // Between them both count.
  EXPECT_NEAR(peaks->log_prob(points * 0.0).item<double>(),
              at_peak + std::log(2.0) - 16.0 * 0.25 / (2.0 * 0.05 * 0.05), 1e-9);
}

TEST_F(Toy, GaussianHasTheMomentsOfItsImages) {
  const auto gaussian = make_toy_density(config(ToyKind::gaussian));
  const at::Tensor images = at::adaptive_avg_pool2d(
      to_unit_range(read_npz((folder_ / "images.npz").string(), "arr_0").permute({0, 3, 1, 2}),
                    at::kDouble),
      {4, 4});
  const at::Tensor x = gaussian->sample(40000, Split::test);
  EXPECT_EQ(x.sizes(), at::IntArrayRef({40000, 3, 4, 4}));
  const at::Tensor centred = (images - images.mean(0)).flatten(1);
  const at::Tensor drawn = (x - x.mean(0)).flatten(1).to(at::kDouble);
  const at::Tensor covariance = centred.t().mm(centred) / 1099.0;
  EXPECT_LT((drawn.t().mm(drawn) / 39999.0 - covariance).abs().max().item<double>(),
            0.05 * covariance.abs().max().item<double>());
  EXPECT_LT((x.mean(0) - images.mean(0)).abs().max().item<double>(), 0.01);
  // E log p of its own draws = -d/2 (1 + log 2 pi) - 1/2 log det.
  const double step = 2.0 / 255.0;
  const at::Tensor regular = covariance + at::eye(48, at::kDouble) * (step * step / 12.0);
  const double expected =
      -24.0 * (1.0 + std::log(2.0 * std::numbers::pi)) - 0.5 * regular.logdet().item<double>();
  EXPECT_NEAR(gaussian->log_prob(x).mean().item<double>(), expected, 0.2);
}

// More images than are taken at once, in colour and as the grey ones that they are made to.
TEST_F(Toy, GaussianHasTheirExactDensity) {
  const at::Tensor images = at::adaptive_avg_pool2d(
      to_unit_range(read_npz((folder_ / "images.npz").string(), "arr_0").permute({0, 3, 1, 2}),
                    at::kDouble),
      {4, 4});
  for (const std::int64_t channels : {3, 1}) {
    DataConfig data = config(ToyKind::gaussian);
    data.channels = channels;
    const at::Tensor rows = (channels == 1 ? images.mean(1, true) : images).flatten(1);
    const at::Tensor mean = rows.mean(0);
    const at::Tensor centred = rows - mean;
    const std::int64_t d = rows.size(1);
    const double step = 2.0 / 255.0;
    const at::Tensor covariance =
        centred.t().mm(centred) / 1099.0 + at::eye(d, at::kDouble) * (step * step / 12.0);
    const at::Tensor v = test::numbers(1, {d}) * 0.1;
    const double distance = v.dot(covariance.inverse().mv(v)).item<double>();
    const double expected = -0.5 * (static_cast<double>(d) * std::log(2.0 * std::numbers::pi) +
                                    covariance.logdet().item<double>() + distance);
    EXPECT_NEAR(
        make_toy_density(data)->log_prob((mean + v).view({1, channels, 4, 4})).item<double>(),
        expected, 1e-8 * std::abs(expected));
  }
}

TEST_F(Toy, ImagesDoNotDependOnHowManyAreDrawn) {
  for (const ToyKind toy : {ToyKind::uniform, ToyKind::peaks, ToyKind::gaussian}) {
    const auto density = make_toy_density(config(toy));
    const at::Tensor some = density->sample(5, Split::train);
    test::expect_close(density->sample(9, Split::train).narrow(0, 0, 5), some, 1e-6, name_of(toy));
    EXPECT_FALSE(at::equal(density->sample(5, Split::test), some)) << name_of(toy);
  }
}

TEST_F(Toy, IsADataSetOfValues) {
  const Dataset train = load_dataset(config(ToyKind::uniform), Split::train);
  EXPECT_EQ(train.size(), 100);
  EXPECT_FALSE(train.has_pixels());
  EXPECT_EQ(load_dataset(config(ToyKind::uniform), Split::test).size(), 20);
  EXPECT_TRUE(at::equal(to_unit_range(train.images, at::kFloat), train.images));
  DataConfig flipped;
  flipped.horizontal_flip = true;
  Batch batch = BatchStream(train, 8, 1, flipped, at::kCPU).at_step(0);
  EXPECT_EQ(batch.images.scalar_type(), at::kFloat);
}

TEST_F(Toy, RefusesWhatIsMissing) {
  const auto refusal = [&](const DataConfig& data) {
    return test::user_error([&] { load_dataset(data, Split::train); });
  };
  DataConfig data = config(ToyKind::uniform);
  data.image_size = 0;
  EXPECT_THAT(refusal(data), test::mentions("data.image_size = 0", "data.kind = toy"));
  data = config(ToyKind::gaussian);
  data.horizontal_flip = true;
  EXPECT_THAT(refusal(data), HasSubstr("data.horizontal_flip = true"));
  data = config(ToyKind::gaussian);
  data.path = "";
  EXPECT_THAT(refusal(data), test::mentions("data.path", "empty"));
  data = config(ToyKind::gaussian);
  data.image_size = 16;
  EXPECT_THAT(refusal(data), test::mentions("3 x 8 x 8", "3 x 16 x 16"));
}

}  // namespace
}  // namespace cdm
