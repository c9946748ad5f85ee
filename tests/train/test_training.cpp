// SPDX-License-Identifier: MIT
// Learning: that it learns, what it learns where the answer is known, the rules of a step, and that
// it may be stopped, goes on exactly, and holds no memory.
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_cholesky.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numbers>
#include <tuple>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/run/checkpoint.h"
#include "cdm/train/learner.h"
#include "equal_checkpoints.h"
#include "files.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;

/// A small UNet on 8x8 images.
struct SmallUNet {
  RunConfig config = test::small_config();
  NoiseSchedule schedule{config.diffusion};
  NetworkShape shape = {1, 8, schedule.levels()};
  at::Tensor images = numbers(1, {4, 1, 8, 8}, at::kFloat).tanh();

  Learner learner() const { return {config, shape, at::kCPU}; }
  StepInputs inputs(std::int64_t step) const { return test::step_inputs(config, step, images); }
};

TEST(Training, OverfitsOneBatch) {
  SmallUNet small;
  small.config.train.learning_rate = 3e-3;
  Learner learner = small.learner();
  StepInputs inputs = small.inputs(0);
  inputs.drawn[0].second = at::tensor({2, 7, 12, 18}, at::kLong);
  const double before = learner.step(inputs)["loss"].item<double>();
  double after = before;
  for (int k = 0; k < 150; ++k) after = learner.step(inputs)["loss"].item<double>();
  EXPECT_LT(after, before / 20.0) << "from " << before;
}

/// x0 = A z + m in three dimensions: p_t is a Gaussian at every level.
struct Gaussian {
  at::Tensor A =
      at::tensor({0.8, 0.0, 0.0, 0.4, 0.6, 0.0, -0.3, 0.2, 0.9}, at::kDouble).view({3, 3});
  at::Tensor m = at::tensor({0.5, -0.3, 0.2}, at::kDouble);

  at::Tensor draw(std::uint64_t index, std::int64_t count) const {  // [count, 3]
    return numbers(index, {count, 3}).mm(A.t()) + m;
  }
  /// log p_t(x) of x [N, 3].
  at::Tensor log_prob(const at::Tensor& x, double alpha_bar) const {
    const at::Tensor covariance =
        alpha_bar * A.mm(A.t()) + (1.0 - alpha_bar) * at::eye(3, at::kDouble);
    const at::Tensor factor = at::linalg_cholesky(covariance);
    const at::Tensor white =
        at::linalg_solve_triangular(factor, (x - std::sqrt(alpha_bar) * m).t(), /*upper=*/false);
    return white.square().sum(0).mul(-0.5) - factor.diagonal().log().sum() -
           1.5 * std::log(2.0 * std::numbers::pi);
  }
};

TEST(Training, LearnsTheDensityOfAGaussianAtEveryLevel) {
  RunConfig config;
  config.diffusion.steps = 25;
  config.diffusion.beta_start = 0.01;
  config.diffusion.beta_end = 0.3;
  config.model.kind = NetworkKind::mlp;
  config.model.channels = 64;
  config.model.res_blocks = 2;
  config.loss.ce_weight = 1.0;
  config.train.learning_rate = 3e-3;
  config.train.warmup = 50;
  config.train.decay_every = 400;
  config.train.decay_factor = 0.3;
  config.train.ema_decay = 0.99;
  config.train.ema_start = 100;
  const Gaussian gaussian;
  const NoiseSchedule schedule(config.diffusion);
  const std::int64_t K = schedule.levels();
  Learner learner(config, {3, 1, K}, at::kCPU);
  constexpr std::int64_t kBatch = 512;
  for (std::int64_t k = 0; k < 1000; ++k) {
    const at::Tensor x0 = gaussian.draw(1000 + static_cast<std::uint64_t>(k), kBatch);
    learner.step(test::step_inputs(config, k, x0.to(at::kFloat).view({kBatch, 3, 1, 1})));
  }

  constexpr std::int64_t kPoints = 500;
  for (std::int64_t t = 0; t < K; ++t) {
    const auto index = static_cast<std::uint64_t>(t);
    const at::Tensor levels = at::full({kPoints}, t, at::kLong);
    const at::Tensor x =
        schedule.add_noise(gaussian.draw(10 + index, kPoints).view({kPoints, 3, 1, 1}), levels,
                           numbers(100 + index, {kPoints, 3, 1, 1}));
    const at::Tensor exact =
        gaussian.log_prob(x.view({kPoints, 3}), std::pow(schedule.signal(t), 2));
    const at::Tensor learned = learner.average().density().log_prob(x.to(at::kFloat), levels);
    const double error = (learned - exact).abs().mean().item<double>() / 3.0;
    EXPECT_LT(error, 0.05) << "nats per dimension at level " << t;
  }
}

TEST(Training, FollowsTheLearningRateSchedule) {
  TrainConfig config = RunConfig().train;
  config.learning_rate = 0.5;
  config.warmup = 4;
  config.decay_every = 10;
  config.decay_factor = 0.1;
  const std::pair<std::int64_t, double> expected[] = {
      {0, 0.125}, {1, 0.25}, {3, 0.5}, {4, 0.5}, {9, 0.5}, {10, 0.05}, {19, 0.05}, {20, 0.005}};
  for (const auto& [step, rate] : expected) {
    EXPECT_DOUBLE_EQ(learning_rate_at(config, step), rate) << step;
  }
  config.warmup = 0;
  config.decay_every = 0;
  EXPECT_EQ(learning_rate_at(config, 0), 0.5);
  EXPECT_EQ(learning_rate_at(config, 1000000), 0.5);
}

TEST(Training, LetsTheLearningRateFallTowardsTheEndOfTheRun) {
  TrainConfig config = RunConfig().train;
  config.learning_rate = 0.5;
  config.warmup = 4;
  config.iterations = 100;
  config.final_learning_rate_factor = 0.1;
  const auto expect_rates = [&](const std::vector<std::tuple<std::int64_t, double, double>>& all) {
    for (const auto& [step, time_used, factor] : all) {
      EXPECT_NEAR(learning_rate_at(config, step, time_used), 0.5 * factor, 1e-12)
          << name_of(config.learning_rate_schedule) << ", step " << step << ", time " << time_used;
    }
  };
  config.learning_rate_schedule = LearningRateSchedule::cosine;
  const auto cosine = [](double p) {
    return 0.1 + 0.9 * 0.5 * (1.0 + std::cos(p * std::numbers::pi));
  };
  expect_rates({{0, 0.0, 0.25 * cosine(0.0)},
                {1, 0.0, 0.5 * cosine(0.01)},
                {50, 0.0, 0.55},
                {75, 0.0, cosine(0.75)},
                {50, 0.4, 0.55},
                {50, 0.75, cosine(0.75)},
                {0, 1.0, 0.25 * 0.1},
                {99, 0.0, cosine(0.99)},
                {100, 0.0, 0.1},
                {1000, 2.0, 0.1}});
  config.learning_rate_schedule = LearningRateSchedule::warmdown;
  config.warmdown = 0.25;
  expect_rates({{0, 0.0, 0.25},
                {10, 0.0, 1.0},
                {75, 0.0, 1.0},
                {80, 0.0, 0.1 + 0.9 * 0.8},
                {10, 0.9, 0.1 + 0.9 * 0.4},
                {99, 0.0, 0.1 + 0.9 * 0.04},
                {100, 0.0, 0.1},
                {10, 1.5, 0.1}});
  config.warmdown = 0.0;
  expect_rates({{99, 0.0, 1.0}});
  // Time changes nothing where the rate falls by steps.
  config.learning_rate_schedule = LearningRateSchedule::steps;
  config.decay_every = 10;
  config.decay_factor = 0.5;
  expect_rates({{19, 0.9, 0.5}});
}

TEST(Training, KnowsWhatShareOfItsTimeHasPassed) {
  TrainConfig config = RunConfig().train;
  config.max_minutes = 0.5;
  EXPECT_DOUBLE_EQ(time_used(config, 6.0), 0.2);
  EXPECT_DOUBLE_EQ(time_used(config, 60.0), 1.0);
  EXPECT_FALSE(depends_on_time(config)) << "of itself, the learning rate falls by steps";
  for (const auto kind : {LearningRateSchedule::cosine, LearningRateSchedule::warmdown}) {
    config.learning_rate_schedule = kind;
    config.max_minutes = 0.5;
    EXPECT_TRUE(depends_on_time(config));
    config.max_minutes = 0.0;
    EXPECT_FALSE(depends_on_time(config));
    EXPECT_EQ(time_used(config, 60.0), 0.0);
  }
}

TEST(Training, FollowsTheScheduleOfTheAverage) {
  TrainConfig config = RunConfig().train;
  config.ema_decay = 0.5;
  config.ema_start = 3;
  config.ema_warmup = true;
  const std::pair<std::int64_t, double> expected[] = {
      {0, 0.0}, {2, 0.0}, {3, 0.1}, {4, 2.0 / 11.0}, {10, 8.0 / 17.0}, {11, 0.5}, {1000, 0.5}};
  for (const auto& [step, decay] : expected) {
    EXPECT_DOUBLE_EQ(ema_decay_at(config, step), decay) << step;
  }
  config.ema_warmup = false;
  EXPECT_EQ(ema_decay_at(config, 2), 0.0);
  EXPECT_EQ(ema_decay_at(config, 3), 0.5);

  const NamedTensors average = {{"w", at::full({2}, 1.0)}};
  const NamedTensors weights = {{"w", at::full({2}, 3.0)}};
  update_average(average, weights, 0.75);
  EXPECT_TRUE(at::equal(average[0].second, at::full({2}, 1.5)));
  update_average(average, weights, 0.0);
  EXPECT_TRUE(at::equal(average[0].second, at::full({2}, 3.0)));
}

TEST(Training, ClipsTheNormOfAllGradientsTogether) {
  const auto gradients = [] {
    return std::vector<at::Tensor>{at::tensor({3.0, 0.0}, at::kDouble),
                                   at::tensor({0.0, -4.0, 0.0}, at::kDouble)};
  };
  std::vector<at::Tensor> clipped = gradients();
  const at::Tensor norm = gradient_norm(clipped);
  EXPECT_DOUBLE_EQ(norm.item<double>(), 5.0);
  clip_gradients(clipped, norm, 0.5);
  test::expect_close(clipped[0], gradients()[0] * 0.1, 1e-6, "clipped");
  test::expect_close(clipped[1], gradients()[1] * 0.1, 1e-6, "clipped");

  std::vector<at::Tensor> small = gradients();
  clip_gradients(small, norm, 5.1);
  EXPECT_TRUE(at::equal(small[0], gradients()[0]));
  std::vector<at::Tensor> none = {at::zeros({3})};
  clip_gradients(none, gradient_norm(none), 1.0);
  EXPECT_TRUE(at::equal(none[0], at::zeros({3})));
}

TEST(Training, AdamTakesGradientsInAnyLayout) {
  const auto trained = [](at::MemoryFormat weight_format, at::MemoryFormat gradient_format) {
    const at::Tensor weight = numbers(1, {4, 3, 3, 3}).contiguous(weight_format);
    Adam adam({{"w", weight}}, RunConfig().train);
    for (std::uint64_t k = 2; k < 5; ++k) {
      adam.step({numbers(k, {4, 3, 3, 3}).contiguous(gradient_format)}, 0.01);
    }
    return weight;
  };
  const at::Tensor expected = trained(at::MemoryFormat::Contiguous, at::MemoryFormat::Contiguous);
  for (const auto weights : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    for (const auto gradients : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      EXPECT_TRUE(at::equal(trained(weights, gradients), expected));
    }
  }
}

/// Bytes of this process that are in memory.
std::int64_t resident_bytes() {
  std::int64_t total = 0;
  std::int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST(Training, MicroBatchesGiveTheGradientOfTheWholeBatch) {
  SmallUNet small;
  small.config.model.dropout = 0.3;
  small.images = numbers(1, {7, 1, 8, 8}, at::kDouble).tanh();
  const auto gradients_of = [&](std::int64_t micro_batch_size) {
    small.config.train.micro_batch_size = micro_batch_size;
    Learner learner(small.config, small.shape, at::kCPU, at::kDouble);
    return learner.loss_gradients(small.inputs(3));
  };
  for (const std::int64_t denoised : {7, 3}) {
    small.config.loss.mse_share = static_cast<double>(denoised) / 7.0;
    const LossGradients whole = gradients_of(0);
    for (const std::int64_t size : {1, 2, 5}) {
      const LossGradients parts = gradients_of(size);
      test::expect_close(parts["loss"], whole["loss"], 1e-12, concat("loss by ", size));
      for (std::size_t i = 0; i < whole.gradients.size(); ++i) {
        // Relative to 1: some gradients are zero but for rounding.
        EXPECT_LT((parts.gradients[i] - whole.gradients[i]).abs().max().item<double>(), 1e-12)
            << "parameter " << i << " by " << size << ", denoised " << denoised;
      }
    }
  }
}

TEST(Training, HoldsNoMemory) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer keeps freed memory";
#endif
  const SmallUNet small;
  Learner learner = small.learner();
  std::int64_t early = 0;
  for (std::int64_t k = 0; k < 200; ++k) {
    learner.step(small.inputs(k));
    if (k == 20) early = resident_bytes();
  }
  // Measured: below 0.1 MB. A graph kept by accident adds 0.5 MB with every step.
  constexpr std::int64_t kAllowance = 2 << 20;
  EXPECT_LT(resident_bytes() - early, kAllowance);
}

void expect_resumes_to_the_bit(const TrainConfig& train) {
  SmallUNet small;
  small.config.train = train;
  small.config.model.dropout = 0.3;
  small.config.train.warmup = 4;
  small.config.train.ema_decay = 0.9;
  constexpr std::int64_t kSteps = 9;
  constexpr std::int64_t kStop = 4;

  Learner whole = small.learner();
  std::vector<double> losses;
  for (std::int64_t k = 0; k < kSteps; ++k) {
    losses.push_back(whole.step(small.inputs(k))["loss"].item<double>());
  }

  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "resume";
  std::filesystem::remove_all(folder);
  std::filesystem::path saved;
  {
    Learner first = small.learner();
    for (std::int64_t k = 0; k < kStop; ++k) first.step(small.inputs(k));
    saved = write_checkpoint(folder, first.state(), small.config);
  }
  at::rand({17});  // other random numbers drawn meanwhile change nothing
  Learner second = small.learner();
  second.step(small.inputs(100));
  second.restore(read_checkpoint(saved), saved.string());
  EXPECT_EQ(second.steps_done(), kStop);
  for (std::int64_t k = kStop; k < kSteps; ++k) {
    const double loss = second.step(small.inputs(k))["loss"].item<double>();
    EXPECT_EQ(loss, losses[static_cast<std::size_t>(k)]) << "step " << k;
  }
  test::expect_equal(second.state(), whole.state());

  small.config.model.dropout = 0.0;
  EXPECT_NE(small.learner().step(small.inputs(0))["loss"].item<double>(), losses[0]);
  std::filesystem::remove_all(folder);
}

TEST(Training, ResumesWithTheVeryNumbersOfAnUninterruptedRun) {
  TrainConfig train = test::small_config().train;
  expect_resumes_to_the_bit(train);
  train.learning_rate_schedule = LearningRateSchedule::cosine;
  train.iterations = 9;
  train.weight_decay = 0.1;
  train.ema_more_decays = {0.5, 0.99};
  expect_resumes_to_the_bit(train);
  train.optimizer = OptimizerKind::muon;
  train.ema_kind = AverageKind::power;
  expect_resumes_to_the_bit(train);
}

TEST(Training, DoesNotGoOnWithAnotherNumberOfAverages) {
  SmallUNet small;
  const TrainingState one = small.learner().state();
  small.config.train.ema_more_decays = {0.5};
  Learner learner = small.learner();
  EXPECT_EQ(test::user_error([&] { learner.restore(one, "a checkpoint"); }),
            "a checkpoint: has 1 moving averages of the weights, and the configuration 2");
}

/// The state of a learner, apart from it.
TrainingState copy_of(const TrainingState& state) {
  TrainingState copy = state;
  for (NamedTensors* const tensors : {&copy.model, &copy.ema, &copy.exp_avg, &copy.exp_avg_sq}) {
    for (auto& [name, tensor] : *tensors) tensor = tensor.detach().clone();
  }
  return copy;
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// `inputs` with one pixel of one image replaced.
StepInputs with_pixel(StepInputs inputs, double value) {
  inputs.x0 = inputs.x0.clone();
  inputs.x0[1][0][3][3].fill_(value);
  return inputs;
}

TEST(Training, SkipsAStepThatIsNotFiniteAndGoesOn) {
  // The average neither began (the second case) nor follows the weights at once (the first).
  for (const std::int64_t ema_start : {0, 100}) {
    SmallUNet small;
    small.config.train.ema_decay = 0.9;
    small.config.train.ema_start = ema_start;
    small.config.train.clip_grad_norm = 0.5;
    Learner learner = small.learner();
    for (std::int64_t k = 0; k < 3; ++k) learner.step(small.inputs(k));
    const TrainingState before = copy_of(learner.state());
    for (const double bad : {kNan, kInfinity, -kInfinity}) {
      const StepReport report = learner.step(with_pixel(small.inputs(3), bad));
      EXPECT_EQ(report.skipped.item<float>(), 1.0F);
      EXPECT_FALSE(std::isfinite(report["loss"].item<double>()));
      EXPECT_FALSE(std::isfinite(report.gradient_norm.item<double>()));
    }
    EXPECT_EQ(learner.steps_done(), 6);
    EXPECT_EQ(learner.steps_skipped(), 3);
    TrainingState after = learner.state();
    after.step = before.step;
    after.skipped = before.skipped;
    test::expect_equal(after, before);

    // Adam's count of updates, too, goes on as if the steps had not been: in this learner, and in
    // one that takes up its state.
    const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "skipped";
    std::filesystem::remove_all(folder);
    const std::filesystem::path saved = write_checkpoint(folder, learner.state(), small.config);
    Learner resumed = small.learner();
    resumed.restore(read_checkpoint(saved), saved.string());
    EXPECT_EQ(resumed.steps_skipped(), 3);
    EXPECT_EQ(learner.step(small.inputs(6)).skipped.item<float>(), 0.0F);
    resumed.step(small.inputs(6));
    test::expect_equal(resumed.state(), learner.state());
    std::filesystem::remove_all(folder);
  }
}

TEST(Training, AStepThatIsNotSkippedIsThePlainUpdate) {
  // The flag that the device decides by changes no number of a step that is finite.
  const auto updated = [](const at::Tensor& skipped) {
    const at::Tensor weight = numbers(1, {5, 3});
    Adam adam({{"w", weight}}, RunConfig().train);
    for (std::uint64_t k = 2; k < 5; ++k) adam.step({numbers(k, {5, 3})}, 0.01, skipped);
    return weight;
  };
  EXPECT_TRUE(at::equal(updated(at::zeros({}, at::kFloat)), updated({})));
  const NamedTensors weights = {{"w", numbers(2, {5, 3})}};
  const auto averaged = [&](const at::Tensor& skipped) {
    const NamedTensors average = {{"w", numbers(1, {5, 3})}};
    update_average(average, weights, 0.9, skipped);
    return average[0].second;
  };
  EXPECT_TRUE(at::equal(averaged(at::zeros({}, at::kFloat)), averaged({})));
  EXPECT_TRUE(at::equal(averaged(at::ones({}, at::kFloat)), numbers(1, {5, 3})));

  // What a GPU does instead, because reading the flag there would wait for it.
  const auto moved = [&](double share) {
    const at::Tensor value = numbers(1, {5, 3});
    move_towards({value}, values_of(weights), at::full({}, share, at::kDouble));
    return value;
  };
  test::expect_close(moved(0.1), averaged({}), 1e-15, "moved towards the weights");
  EXPECT_TRUE(at::equal(moved(0.0), numbers(1, {5, 3})));
}

}  // namespace
}  // namespace cdm
