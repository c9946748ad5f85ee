// SPDX-License-Identifier: MIT
// The Gaussian anchor against the density of a Gaussian, by its definition.
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_slogdet.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <memory>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/model/anchor.h"
#include "cdm/train/make_model.h"
#include "support.h"

namespace cdm {
namespace {

using test::expect_close;
using test::numbers;

constexpr std::int64_t kSize = 3;
constexpr std::int64_t kDimensions = kSize * kSize;

/// A Gaussian in nine dimensions whose variances span nine orders of magnitude, as those of images
/// with a black border do.
struct Gaussian {
  at::Tensor mean = numbers(1, {kDimensions});
  at::Tensor basis = std::get<1>(at::linalg_eigh(numbers(2, {kDimensions, kDimensions})));
  at::Tensor variances = at::tensor({5e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 30.0, 80.0});

  NamedTensors statistics() const {
    return {{"anchor.mean", mean},
            {"anchor.variances", variances.to(at::kDouble)},
            {"anchor.basis", basis}};
  }
  at::Tensor covariance() const { return basis.mul(variances.to(at::kDouble)).mm(basis.t()); }
  /// log N(x; signal mean, signal^2 covariance + sigma^2 I) of rows x [B, d].
  at::Tensor log_prob(const at::Tensor& x, double signal, double sigma) const {
    const at::Tensor spread =
        signal * signal * covariance() + sigma * sigma * at::eye(kDimensions, at::kDouble);
    const at::Tensor away = x - signal * mean;
    const at::Tensor distance = (away * at::linalg_solve(spread, away.t()).t()).sum(1);
    return -0.5 * (distance + std::get<1>(at::linalg_slogdet(spread)) +
                   static_cast<double>(kDimensions) * std::log(2.0 * std::numbers::pi));
  }
};

RunConfig anchored_config(NetworkKind kind = NetworkKind::unet) {
  RunConfig config = test::small_config(9);
  config.model.kind = kind;
  config.model.anchor = AnchorKind::gaussian;
  return config;
}

TEST(Anchor, IsTheLogDensityOfAGaussianAtEveryLevel) {
  const Gaussian gaussian;
  const NoiseSchedule schedule(test::small_config(9).diffusion);
  Anchor anchor(schedule.signals(), schedule.sigmas());
  anchor.load(gaussian.statistics(), "test");
  // Points that are typical at some level: elsewhere the distances are astronomical.
  for (const std::int64_t level : {0, 3, 10}) {
    const double signal = schedule.signal(level), sigma = schedule.sigma(level);
    const at::Tensor image = gaussian.mean + numbers(5, {4, kDimensions})
                                                 .mul(gaussian.variances.sqrt().to(at::kDouble))
                                                 .mm(gaussian.basis.t());
    const at::Tensor x = signal * image + sigma * numbers(6, {4, kDimensions});
    const at::Tensor all = anchor(x.view({4, 1, kSize, kSize}));
    ASSERT_EQ(all.sizes(), (std::vector<std::int64_t>{4, schedule.levels()}));
    for (std::int64_t t = level; t < schedule.levels(); ++t) {
      expect_close(all.select(1, t), gaussian.log_prob(x, schedule.signal(t), schedule.sigma(t)),
                   1e-6, "level " + std::to_string(t));  // the determinant is that inexact
    }
  }
}

/// Of images in float32, the quadratic forms are those of float64: the images are converted first.
TEST(Anchor, OfSinglePrecisionImagesIsComputedInDoublePrecision) {
  const Gaussian gaussian;
  const NoiseSchedule schedule(test::small_config(9).diffusion);
  Anchor anchor(schedule.signals(), schedule.sigmas());
  anchor.load(gaussian.statistics(), "test");
  const at::Tensor x = gaussian.mean.view({1, 1, kSize, kSize}).to(at::kFloat);
  const at::Tensor f = anchor(x);
  EXPECT_EQ(f.scalar_type(), at::kDouble);
  EXPECT_TRUE(at::equal(f, anchor(x.to(at::kDouble))));
}

/// With cosines for the pixels and a basis for the channels, the covariance is that of independent
/// coefficients.
TEST(Anchor, TakesCosinesWhereImagesAreLarge) {
  const at::Tensor cosines = cosine_transform(kSize);
  expect_close(cosines.mm(cosines.t()), at::eye(kSize, at::kDouble), 1e-14, "orthonormal");
  for (std::int64_t k = 0; k < kSize; ++k) {
    for (std::int64_t n = 0; n < kSize; ++n) {
      const double wave = std::cos(std::numbers::pi * (n + 0.5) * k / kSize);
      EXPECT_NEAR(cosines[k][n].item<double>(), std::sqrt((k == 0 ? 1.0 : 2.0) / kSize) * wave,
                  1e-15);
    }
  }
  const std::int64_t C = 2, d = C * kDimensions;
  const at::Tensor channels = std::get<1>(at::linalg_eigh(numbers(3, {C, C})));
  const at::Tensor variances = numbers(4, {d}).square() + 0.1;
  const at::Tensor mean = numbers(5, {d});
  // Column (c, i, j) of the whole basis, as an image: channel direction c times the waves i and j.
  std::vector<at::Tensor> columns;
  for (std::int64_t c = 0; c < C; ++c) {
    for (std::int64_t i = 0; i < kSize; ++i) {
      for (std::int64_t j = 0; j < kSize; ++j) {
        columns.push_back((channels.select(1, c).view({C, 1, 1}) * cosines[i].view({1, kSize, 1}) *
                           cosines[j].view({1, 1, kSize}))
                              .flatten());
      }
    }
  }
  const NoiseSchedule schedule(test::small_config(4).diffusion);
  Anchor separable(schedule.signals(), schedule.sigmas()),
      whole(schedule.signals(), schedule.sigmas());
  separable.load(
      {{"anchor.mean", mean}, {"anchor.variances", variances}, {"anchor.channels", channels}},
      "test");
  whole.load({{"anchor.mean", mean},
              {"anchor.variances", variances},
              {"anchor.basis", at::stack(columns, 1)}},
             "test");
  const at::Tensor x = numbers(6, {3, C, kSize, kSize});
  expect_close(separable(x), whole(x), 1e-12, "log density");
}

/// An anchored network that has learnt nothing is the Gaussian: its density, the Wiener filter as
/// its denoiser, and the classifier of its levels.
TEST(Anchor, MakesAnUntrainedNetworkAnExactModel) {
  for (const NetworkKind kind : {NetworkKind::unet, NetworkKind::mlp}) {
    RunConfig config = anchored_config(kind);
    config.model.channel_mult = {1};
    const NoiseSchedule schedule(config.diffusion);
    const Model model = make_model(config, {1, kSize, schedule.levels()}, at::kCPU,
                                   {at::kDouble, at::kDouble, false}, 3);
    Gaussian gaussian;
    gaussian.variances = at::tensor({0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0});
    NamedTensors state = model.network().parameters();
    for (const auto& entry : gaussian.statistics()) state.push_back(entry);
    model.network().load(state, "test");
    const at::Tensor x = numbers(8, {5, kDimensions});
    const at::Tensor images = x.view({5, 1, kSize, kSize});
    std::vector<at::Tensor> exact;
    for (std::int64_t t = 0; t < schedule.levels(); ++t) {
      const double signal = schedule.signal(t), sigma = schedule.sigma(t);
      const at::Tensor levels = at::full({5}, t, at::kLong);
      exact.push_back(gaussian.log_prob(x, signal, sigma));
      expect_close(model.density().log_prob(images, levels), exact.back(), 1e-10, "log p");
      // eps = -sigma times the score: sigma S^-1 (x - signal m).
      const at::Tensor spread = signal * signal * gaussian.covariance() +
                                sigma * sigma * at::eye(kDimensions, at::kDouble);
      const at::Tensor eps = sigma * at::linalg_solve(spread, (x - signal * gaussian.mean).t()).t();
      expect_close(model.predict_noise(images, levels), eps.view(images.sizes()), 1e-9, "noise");
    }
    expect_close(model.density().log_posterior(images), at::log_softmax(at::stack(exact, 1), 1),
                 1e-9, "p(t | x)");
  }
}

TEST(Anchor, NeedsItsStatistics) {
  const RunConfig config = anchored_config();
  const NoiseSchedule schedule(config.diffusion);
  const Model model =
      make_model(config, {1, 8, schedule.levels()}, at::kCPU, {at::kDouble, at::kDouble, false}, 3);
  EXPECT_THROW(model.density().log_prob_all_levels(numbers(1, {1, 1, 8, 8})), c10::Error);
  const NamedTensors parameters = model.network().parameters();
  EXPECT_THROW(model.network().load(parameters, "test"), UserError);
  const Gaussian gaussian;
  for (std::size_t missing = 0; missing < 3; ++missing) {
    NamedTensors statistics = gaussian.statistics();
    statistics.erase(statistics.begin() + static_cast<std::ptrdiff_t>(missing));
    Anchor anchor(schedule.signals(), schedule.sigmas());
    EXPECT_THROW(anchor.load(statistics, "test"), UserError);
    statistics = gaussian.statistics();
    statistics[missing].second = numbers(1, {4});
    EXPECT_THROW(anchor.load(statistics, "test"), UserError);
  }
  // A network without an anchor has no place for statistics.
  const Model plain = test::small_model(test::small_config(9));
  NamedTensors state = plain.network().parameters();
  state.emplace_back("anchor.mean", numbers(1, {64}));
  EXPECT_THROW(plain.network().load(state, "test"), UserError);
}

}  // namespace
}  // namespace cdm
