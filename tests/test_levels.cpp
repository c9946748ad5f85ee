// SPDX-License-Identifier: MIT
// Statistics per noise level, against the definitions image by image.
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cdm/data/batches.h"
#include "cdm/eval/levels.h"
#include "support.h"

namespace cdm {
namespace {

at::Tensor some_pixels(std::int64_t count) {
  return uniform({3, Purpose::noise, 0}, {count, 1, 8, 8}, at::TensorOptions().dtype(at::kFloat))
      .mul(256)
      .to(at::kByte);
}

at::Tensor level_of(std::int64_t t) { return at::full({1}, t, at::kLong); }

TEST(LevelStatistics, FollowTheirDefinitions) {
  constexpr std::int64_t kImages = 11;
  const Classifier classifier = test::small_classifier(test::small_config(3));  // 5 levels
  const std::int64_t K = classifier.schedule().levels();
  const at::Tensor pixels = some_pixels(kImages);
  LevelOptions options;
  options.batch_size = 4;
  options.repeats = 2;
  options.seed = 6;
  std::int64_t reported = 0;
  const LevelStatistics s = level_statistics(classifier, options, pixels, {},
                                             [&](std::int64_t done) { reported = done; });
  EXPECT_EQ(reported, 2 * kImages);

  std::vector<double> ce(K), mse(K), right(K), count(K);
  at::Tensor confusion = at::zeros({K, K}, at::kLong);
  std::vector<double> bins(kCalibrationBins), confidence(kCalibrationBins), hits(kCalibrationBins);
  for (std::int64_t seen = 0; seen < 2 * kImages; ++seen) {
    const std::int64_t t = seen % K;
    const at::Tensor x0 = to_unit_range(pixels.narrow(0, seen % kImages, 1), at::kDouble);
    const at::Tensor noise = evaluation_noise(6, seen, x0);
    const at::Tensor x = classifier.schedule().add_noise(x0, level_of(t), noise);
    const at::Tensor log_p = at::log_softmax(classifier.logits(x), 1)[0];
    const auto decided = log_p.argmax().item<std::int64_t>();
    const double p = std::exp(log_p[decided].item<double>());
    const auto i = static_cast<std::size_t>(t);
    const auto bin = static_cast<std::size_t>(p * static_cast<double>(kCalibrationBins));
    count[i] += 1;
    ce[i] -= log_p[t].item<double>();
    right[i] += decided == t;
    mse[i] += (classifier.predict_noise(x, level_of(t)) - noise).square().mean().item<double>();
    confusion[t][decided] += 1;
    bins[bin] += 1;
    confidence[bin] += p;
    hits[bin] += decided == t;
  }
  double all_ce = 0.0, all_right = 0.0, inner_mse = 0.0, inner = 0.0, calibration = 0.0;
  for (std::int64_t t = 0; t < K; ++t) {
    const auto i = static_cast<std::size_t>(t);
    EXPECT_EQ(s.count[t].item<std::int64_t>(), count[i]);
    EXPECT_NEAR(s.ce[t].item<double>(), ce[i] / count[i], 1e-10);
    EXPECT_NEAR(s.accuracy[t].item<double>(), right[i] / count[i], 1e-12);
    EXPECT_NEAR(s.mse[t].item<double>(), mse[i] / count[i], 1e-10);
    all_ce += ce[i];
    all_right += right[i];
    if (t > 0 && t + 1 < K) {
      inner_mse += mse[i];
      inner += count[i];
    }
  }
  for (std::size_t b = 0; b < bins.size(); ++b) calibration += std::abs(confidence[b] - hits[b]);
  EXPECT_TRUE(s.confusion.equal(confusion));
  EXPECT_NEAR(s.mean_ce(), all_ce / (2 * kImages), 1e-10);
  EXPECT_NEAR(s.mean_accuracy(), all_right / (2 * kImages), 1e-12);
  EXPECT_NEAR(s.mean_mse(), inner_mse / inner, 1e-10);
  EXPECT_NEAR(s.calibration_error(), calibration / (2 * kImages), 1e-10);
}

TEST(LevelStatistics, DoNotDependOnTheBatch) {
  const Classifier classifier = test::small_classifier(test::small_config(3));
  const at::Tensor pixels = some_pixels(7);
  LevelOptions options;
  options.dequantization = Dequantization::uniform;
  const LevelStatistics whole = level_statistics(classifier, options, pixels, {});
  options.batch_size = 3;
  const LevelStatistics parts = level_statistics(classifier, options, pixels, {});
  test::expect_close(parts.mse, whole.mse, 1e-10, "mse");
  test::expect_close(parts.ce, whole.ce, 1e-10, "ce");
  options.dequantization = Dequantization::none;
  const LevelStatistics bare = level_statistics(classifier, options, pixels, {});
  EXPECT_GT(test::relative_error(bare.ce, whole.ce), 1e-8);
}

TEST(LevelStatistics, OfManyLevelsTakeNeighboursTogetherInTheConfusion) {
  const Classifier classifier = test::small_classifier(test::small_config(201));  // 203 levels
  const at::Tensor pixels = some_pixels(8);
  const LevelStatistics s = level_statistics(classifier, {}, pixels, {});
  EXPECT_EQ(s.confusion_group, 3);
  at::Tensor confusion = at::zeros({68, 68}, at::kLong);
  for (std::int64_t t = 0; t < 8; ++t) {
    const at::Tensor x0 = to_unit_range(pixels.narrow(0, t, 1), at::kDouble);
    const at::Tensor x =
        classifier.schedule().add_noise(x0, level_of(t), evaluation_noise(0, t, x0));
    confusion[t / 3][classifier.logits(x)[0].argmax().item<std::int64_t>() / 3] += 1;
  }
  EXPECT_TRUE(s.confusion.equal(confusion));
}

TEST(LevelStatistics, ShowEachImageAtDifferentLevels) {
  // Six images and nine levels share the factor 3.
  const Classifier classifier = test::small_classifier(test::small_config(7));
  const at::Tensor pixels = some_pixels(6);
  LevelOptions options;
  for (const std::int64_t repeats : {1, 2, 4, 5, 9}) {
    options.repeats = repeats;
    const at::Tensor count = level_statistics(classifier, options, pixels, {}).count;
    EXPECT_EQ(count.sum().item<std::int64_t>(), 6 * repeats);
    EXPECT_LE((count.max() - count.min()).item<std::int64_t>(), 1) << repeats;
  }
  // Nine images: without the shift, image i would be at level i in every repeat.
  const at::Tensor nine = some_pixels(9);
  options.repeats = 2;
  const LevelStatistics s = level_statistics(classifier, options, nine, {});
  const at::Tensor x0 = to_unit_range(nine, at::kDouble);
  const auto error = [&](std::int64_t image, std::int64_t t, std::int64_t seen) {
    const at::Tensor x = x0.narrow(0, image, 1);
    const at::Tensor noise = evaluation_noise(0, seen, x);
    const at::Tensor x_t = classifier.schedule().add_noise(x, level_of(t), noise);
    return (classifier.predict_noise(x_t, level_of(t)) - noise).square().mean().item<double>();
  };
  EXPECT_NEAR(s.mse[4].item<double>(), 0.5 * (error(4, 4, 4) + error(3, 4, 9 + 3)), 1e-10);
}

TEST(LevelStatistics, OfFloat32ModelsKeepNeighbouringLevelsApart) {
  // log p_t(x) of 3 x 32 x 32 values is some -4e3 nats, where float32 counts in steps of 2e-4.
  const Classifier classifier = test::small_classifier(test::small_config(3), 3, 32, at::kFloat);
  const at::Tensor pixels =
      uniform({3, Purpose::noise, 0}, {5, 3, 32, 32}, at::TensorOptions().dtype(at::kFloat))
          .mul(256)
          .to(at::kByte);
  const LevelStatistics s = level_statistics(classifier, {}, pixels, {});
  for (std::int64_t t = 0; t < 5; ++t) {
    const at::Tensor x0 = to_unit_range(pixels.narrow(0, t, 1), at::kFloat);
    const at::Tensor x =
        classifier.schedule().add_noise(x0, level_of(t), evaluation_noise(0, t, x0));
    const at::Tensor log_p = at::log_softmax(classifier.logits(x).to(at::kDouble), 1)[0];
    EXPECT_NEAR(s.ce[t].item<double>(), -log_p[t].item<double>(), 1e-5) << t;
  }
}

TEST(LevelStatistics, OfLevelsThatNoImageWasSeenAtAreLeftOut) {
  const Classifier classifier = test::small_classifier(test::small_config(20));
  const LevelStatistics s = level_statistics(classifier, {}, some_pixels(3), {});
  EXPECT_TRUE(std::isnan(s.ce[10].item<double>()));
  EXPECT_TRUE(std::isfinite(s.mean_ce()));
  EXPECT_TRUE(std::isfinite(s.mean_mse()));
}

TEST(LevelStatistics, OfAPlainDenoiserAreItsErrors) {
  RunConfig config = test::small_config(3);
  config.model.predicts = Prediction::noise;
  const NoiseSchedule schedule(config.diffusion);
  const auto model = make_denoiser(make_network(config.model, {1, 8, 5}, 7), schedule);
  const LevelStatistics s = level_statistics(*model, {}, some_pixels(6), {});
  EXPECT_FALSE(s.ce.defined());
  EXPECT_TRUE(std::isfinite(s.mean_mse()));
}

TEST(DenoisingErrors, AreThoseOfEachLevel) {
  const Classifier classifier = test::small_classifier(test::small_config(20));
  const at::Tensor x0 = to_unit_range(some_pixels(5), at::kDouble);
  LevelOptions options;
  options.batch_size = 2;
  const auto errors = denoising_errors(classifier, {4, 17}, options, x0, {});
  ASSERT_EQ(errors.size(), 2u);
  for (const DenoisingError& error : errors) {
    const at::Tensor t = at::full({5}, error.level, at::kLong);
    const at::Tensor noise = evaluation_noise(0, 0, x0);
    const at::Tensor x_t = classifier.schedule().add_noise(x0, t, noise);
    const at::Tensor eps = classifier.predict_noise(x_t, t);
    EXPECT_NEAR(error.mse_noise, (eps - noise).square().mean().item<double>(), 1e-10);
    const at::Tensor denoised = denoise(classifier, x_t, error.level, {});
    EXPECT_NEAR(error.mse_image, (denoised - x0).square().mean().item<double>(),
                1e-9 * error.mse_image);
    EXPECT_EQ(error.sigma, classifier.schedule().sigma(error.level));
  }
}

}  // namespace
}  // namespace cdm
