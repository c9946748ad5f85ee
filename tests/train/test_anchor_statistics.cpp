// SPDX-License-Identifier: MIT
// What an anchor is made of, and how a run keeps it.
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numbers>

#include "cdm/data/batches.h"
#include "cdm/eval/nll.h"
#include "cdm/run/checkpoint.h"
#include "cdm/train/anchor_statistics.h"
#include "cdm/train/learner.h"
#include "cdm/train/make_model.h"
#include "equal_checkpoints.h"
#include "process.h"
#include "support.h"

namespace cdm {
namespace {

using test::expect_close;
using test::numbers;

RunConfig config_of(Dequantization dequantize, std::int64_t channels = 1, std::int64_t size = 8) {
  RunConfig config = test::small_config(9);
  config.model.anchor = AnchorKind::gaussian;
  config.data.dequantize = dequantize;
  config.data.horizontal_flip = false;
  config.data.channels = channels;
  config.data.image_size = size;
  return config;
}

/// Correlated pixels, the first of which never changes.
Dataset pixels(std::int64_t count, std::int64_t channels = 1, std::int64_t size = 8) {
  at::Tensor images = numbers(1, {count, channels, size, size}).cumsum(3).mul(20.0).add(100.0);
  images = images.clamp(0.0, 255.0).round().to(at::kByte);
  images.select(2, 0).select(2, 0).fill_(7);
  Dataset data;
  data.images = images;
  return data;
}

/// log p_0 of an untrained model with this anchor, in bits/dim.
at::Tensor untrained_bits(const RunConfig& config, const Dataset& train, const at::Tensor& images) {
  Learner learner(config, network_shape(config), at::kCPU, at::kDouble);
  learner.set_anchor(anchor_statistics(config, train));
  const at::Tensor t = at::full({images.size(0)}, 0, at::kLong);
  const at::Tensor x = config.data.dequantize == Dequantization::none
                           ? to_unit_range(images, at::kDouble)
                           : (images.to(at::kDouble) + 0.5) / 128.0 - 1.0;
  return bits_per_dim(learner.average().density().log_prob(x, t), images[0].numel(),
                      bits_offset(config.data.dequantize));
}

/// The Gaussian that cdm-nll --gaussian scores with, which is computed in another way. It divides
/// by N - 1, and for dequantised images takes the mean over the noise.
TEST(AnchorStatistics, MakeTheGaussianOfTheTrainingImages) {
  const Dataset train = pixels(300);
  const at::Tensor images = train.images.narrow(0, 0, 40);
  const RunConfig raw = config_of(Dequantization::none);
  const at::Tensor bits = untrained_bits(raw, train, images);
  const at::Tensor expected = gaussian_bits_per_dim(train.images, images, Dequantization::none);
  EXPECT_LT((bits - expected).abs().max().item<double>(), 0.02);
  EXPECT_LT((bits.mean() - expected.mean()).abs().item<double>(), 0.003);
}

TEST(AnchorStatistics, HoldMeanAndCovarianceOfScaledImages) {
  Dataset train;
  train.images = at::tensor({0, 10, 20, 40, 0, 30, 20, 80}, at::kByte).view({2, 1, 2, 2});
  RunConfig config = config_of(Dequantization::uniform, 1, 2);
  NamedTensors statistics = anchor_statistics(config, train);
  const auto covariance = [&] {
    const at::Tensor basis = tensor_named(statistics, "anchor.basis");
    return basis.mul(tensor_named(statistics, "anchor.variances")).mm(basis.t());
  };
  const double step = 1.0 / 128.0;
  const at::Tensor mean = at::tensor({0.5, 20.5, 20.5, 60.5}, at::kDouble) * step - 1.0;
  expect_close(tensor_named(statistics, "anchor.mean"), mean, 1e-14, "mean");
  const at::Tensor away = at::tensor({0.0, 10.0, 0.0, 20.0}, at::kDouble) * step;
  const at::Tensor grain = at::eye(4, at::kDouble) * (step * step / 12.0);
  expect_close(covariance(), away.unsqueeze(1) * away + grain, 1e-12, "covariance");
  // Mirrored, pixels 0 and 1 change places, and so do 2 and 3.
  config.data.horizontal_flip = true;
  statistics = anchor_statistics(config, train);
  expect_close(tensor_named(statistics, "anchor.mean"),
               at::tensor({10.5, 10.5, 40.5, 40.5}, at::kDouble) * step - 1.0, 1e-14,
               "mean with mirrored images");
}

/// Beyond the largest number of dimensions, the coefficients of cosines and channel directions are
/// taken to be independent. For images that are made so, nothing is lost.
TEST(AnchorStatistics, UseCosinesForLargeImages) {
  const std::int64_t size = 40;  // 3 x 40 x 40 = 4800
  const RunConfig config = config_of(Dequantization::none, 3, size);
  const at::Tensor cosines = cosine_transform(size);
  const at::Tensor spread = numbers(2, {3, size, size}).square() * 0.01 + 0.001;
  Dataset train;
  train.images =
      at::matmul(at::matmul(cosines.t(), numbers(3, {400, 3, size, size}) * spread.sqrt()), cosines)
          .to(at::kFloat);
  const NamedTensors statistics = anchor_statistics(config, train);
  EXPECT_FALSE(find_tensor(statistics, "anchor.basis").defined());
  // The channels are independent, so that their directions are the channels, in some order.
  const at::Tensor found = tensor_named(statistics, "anchor.variances").sum();
  EXPECT_NEAR(found.item<double>(), spread.sum().item<double>(),
              0.02 * spread.sum().item<double>());
  Learner learner(config, network_shape(config), at::kCPU);
  learner.set_anchor(statistics);
  const at::Tensor log_prob = learner.model().density().log_prob(train.images.narrow(0, 0, 50),
                                                                 at::full({50}, 0, at::kLong));
  // The expected log density of such images is minus their entropy.
  const double entropy =
      (0.5 * (spread.log() + std::log(2.0 * std::numbers::pi) + 1.0)).sum().item<double>();
  EXPECT_NEAR(log_prob.mean().item<double>() / 4800.0, -entropy / 4800.0, 0.05);
}

TEST(AnchorStatistics, AreKeptInCheckpointsAndResumeToTheBit) {
  const Dataset train = pixels(50);
  RunConfig config = config_of(Dequantization::uniform);
  config.model.head = HeadKind::pooled_inner;
  config.model.inner_features = 3;
  config.train.ema_more_decays = {0.5};
  const at::Tensor images = to_unit_range(train.images.narrow(0, 0, 4), at::kFloat);
  const auto inputs = [&](std::int64_t step) { return test::step_inputs(config, step, images); };
  Learner whole(config, network_shape(config), at::kCPU);
  whole.set_anchor(anchor_statistics(config, train));
  for (int k = 0; k < 4; ++k) whole.step(inputs(k));

  Learner first(config, network_shape(config), at::kCPU);
  first.set_anchor(anchor_statistics(config, train));
  for (int k = 0; k < 2; ++k) first.step(inputs(k));
  const test::TemporaryFolder folder;
  const std::filesystem::path written = write_checkpoint(folder.path(), first.state(), config);
  Learner second(config, network_shape(config), at::kCPU);  // knows no training image
  second.restore(read_checkpoint(written), "test");
  for (int k = 2; k < 4; ++k) second.step(inputs(k));
  test::expect_equal(second.state(), whole.state());

  // All kinds of weights can be evaluated without the training images.
  for (const std::string weights : {"ema", "ema2", "model"}) {
    const Model model =
        make_model(config, network_shape(config), at::kCPU, {at::kFloat, at::kFloat, false}, 0);
    model.network().load(read_weights(written, weights), "test");
    EXPECT_TRUE(model.density().log_prob_all_levels(images).isfinite().all().item<bool>());
  }
}

}  // namespace
}  // namespace cdm
