// SPDX-License-Identifier: MIT
// The fused update of the weights against clipping, Adam and average in ATen's operations, step by
// step, and its kernels, block by block, on the host's threads.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/device/device.h"
#include "cdm/train/learner.h"
#include "cdm/train/optimizer.h"
#include "equal_checkpoints.h"
#include "support.h"
#include "train/fused_update.h"

namespace cdm {
namespace {

using test::numbers;

/// Warm-up, decay and the start of the average lie within ten steps.
TrainConfig eventful_config() {
  TrainConfig config = RunConfig().train;
  config.learning_rate = 0.1;
  config.warmup = 3;
  config.decay_every = 4;
  config.decay_factor = 0.5;
  config.adam_beta1 = 0.8;
  config.adam_beta2 = 0.95;
  config.adam_eps = 1e-3;
  config.weight_decay = 0.2;
  config.clip_grad_norm = 2.0;
  config.ema_decay = 0.7;
  config.ema_more_decays = {0.4, 0.9};
  config.ema_start = 3;
  config.ema_warmup = true;
  return config;
}

/// More parameters than a table holds, of one chunk and of several, with sizes that are no multiple
/// of four, and one that does not begin at a multiple of 16 bytes.
std::vector<at::Tensor> values(std::uint64_t index, at::ScalarType type) {
  std::vector<at::Tensor> all;
  for (std::uint64_t i = 0; i < 60; ++i) {
    const auto size = static_cast<std::int64_t>(1 + i);
    all.push_back(numbers(100 * index + i, {size, 3}, type));
  }
  all.push_back(numbers(100 * index + 60, {2 * cuda::kChunk + 3}, type));
  all.push_back(numbers(100 * index + 61, {1001}, type).narrow(0, 1, 1000));
  all.push_back(
      numbers(100 * index + 62, {4, 5, 3, 3}, type).contiguous(at::MemoryFormat::ChannelsLast));
  return all;
}

NamedTensors named(const std::vector<at::Tensor>& tensors) {
  NamedTensors result;
  for (const at::Tensor& tensor : tensors) {
    result.emplace_back(concat("p", result.size()), tensor);
  }
  return result;
}

void expect_all_close(const std::vector<at::Tensor>& actual,
                      const std::vector<at::Tensor>& expected, double tolerance,
                      const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    test::expect_close(actual[i], expected[i], tolerance, concat(what, " of parameter ", i));
  }
}

struct Both {
  explicit Both(const TrainConfig& config, at::ScalarType type, at::Device device = at::kCPU)
      : config(config) {
    const auto copies = [&](std::uint64_t index) {
      std::vector<at::Tensor> all;
      for (const at::Tensor& value : values(index, type)) all.push_back(value.clone().to(device));
      return all;
    };
    weights = copies(1);
    state.weights = copies(1);
    for (std::int64_t i = 0; i < average_count(config); ++i) {
      averages.push_back(copies(1));
      state.averages.push_back(copies(1));
    }
    for (const at::Tensor& weight : weights) {
      state.first_moments.push_back(at::zeros_like(weight));
      state.second_moments.push_back(at::zeros_like(weight));
      state.decays.push_back(weight_decays("p", weight));
    }
    state.time_used = at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(device));
    state.counts = at::zeros({2}, at::TensorOptions().dtype(at::kLong).device(device));
  }

  TrainConfig config;
  std::vector<at::Tensor> weights;
  std::vector<std::vector<at::Tensor>> averages;
  FusedUpdate::State state;
};

void expect_the_steps_of_aten(at::ScalarType type, at::Device device, double tolerance,
                              const TrainConfig& config = eventful_config()) {
  Both both(config, type, device);
  Adam adam(named(both.weights), both.config);
  FusedUpdate fused(both.state, both.config);
  constexpr std::int64_t kBadStep = 5;
  for (std::int64_t step = 0; step < 10; ++step) {
    SCOPED_TRACE(step);
    std::vector<at::Tensor> gradients;
    // The norm is below the limit of 2 in the last steps.
    for (const at::Tensor& value : values(static_cast<std::uint64_t>(step) + 2, type)) {
      gradients.push_back(value.to(device) * (step < 7 ? 0.1 : 0.001));
    }
    // A gradient in another layout than its weight.
    gradients.back() = gradients.back().contiguous();
    if (step == kBadStep) gradients[3][1][1].fill_(std::numeric_limits<double>::quiet_NaN());
    const at::Tensor loss = at::full({}, 1.5, gradients[0].options());
    const double time_used = step < 6 ? 0.0 : 0.1 * static_cast<double>(step) + 0.05;
    both.state.time_used.fill_(time_used);
    const FusedUpdate::Result result = fused(gradients, loss);

    const at::Tensor norm = gradient_norm(gradients);
    const at::Tensor skipped = is_not_finite(loss + norm);
    clip_gradients(gradients, norm, both.config.clip_grad_norm);
    adam.step(gradients, learning_rate_at(both.config, step, time_used), skipped);
    for (std::size_t i = 0; i < both.averages.size(); ++i) {
      update_average(named(both.averages[i]), named(both.weights),
                     ema_decay_at(both.config, step, static_cast<std::int64_t>(i)), skipped);
    }

    EXPECT_EQ(result.skipped.item<float>(), skipped.item<float>());
    if (step != kBadStep) {
      test::expect_close(result.gradient_norm, norm, tolerance, "norm");
    }
    expect_all_close(both.state.weights, both.weights, tolerance, "weights");
    for (std::size_t i = 0; i < both.averages.size(); ++i) {
      expect_all_close(both.state.averages[i], both.averages[i], tolerance, concat("average ", i));
    }
    expect_all_close(both.state.first_moments, values_of(adam.first_moments()), tolerance,
                     "first moments");
    expect_all_close(both.state.second_moments, values_of(adam.second_moments()), tolerance,
                     "second moments");
  }
  EXPECT_EQ(both.state.counts[0].item<std::int64_t>(), 10);
  EXPECT_EQ(both.state.counts[1].item<std::int64_t>(), 1);
}

TEST(FusedUpdate, TakesTheStepsOfAten) {
  expect_the_steps_of_aten(at::kDouble, at::kCPU, 1e-12);
  expect_the_steps_of_aten(at::kFloat, at::kCPU, 2e-6);
  TrainConfig config = eventful_config();
  config.iterations = 10;
  config.final_learning_rate_factor = 0.2;
  config.warmdown = 0.5;
  for (const auto schedule : test::all_kinds<LearningRateSchedule>()) {
    config.learning_rate_schedule = schedule;
    expect_the_steps_of_aten(at::kDouble, at::kCPU, 1e-12, config);
  }
  config.ema_kind = AverageKind::power;
  expect_the_steps_of_aten(at::kDouble, at::kCPU, 1e-12, config);
}

TEST(FusedUpdate, TakesTheStepsOfAtenOnAGpu) {
  const at::Device device = resolve_device("auto");
  if (!device.is_cuda() || !CDM_HAS_CUDA_KERNELS) GTEST_SKIP() << "no CUDA device, or no kernels";
  EXPECT_TRUE(fused_update_works(device));
  expect_the_steps_of_aten(at::kDouble, device, 1e-12);
  expect_the_steps_of_aten(at::kFloat, device, 5e-6);
}

TEST(FusedUpdate, ABadLossSkipsTheStepToo) {
  Both both(eventful_config(), at::kFloat);
  FusedUpdate fused(both.state, both.config);
  const std::vector<at::Tensor> gradients = values(2, at::kFloat);
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(fused(gradients, at::full({}, bad, at::kFloat)).skipped.item<float>(), 1.0F);
  }
  for (std::size_t i = 0; i < both.weights.size(); ++i) {
    EXPECT_TRUE(at::equal(both.state.weights[i], both.weights[i]));
    EXPECT_TRUE(at::equal(both.state.averages[0][i], both.averages[0][i]));
    EXPECT_EQ(both.state.first_moments[i].count_nonzero().item<std::int64_t>(), 0);
  }
  EXPECT_EQ(both.state.counts[1].item<std::int64_t>(), 2);
}

TEST(FusedUpdate, SaysWhyItCannotRun) {
  EXPECT_TRUE(fused_update_works(at::kCPU));
  if (resolve_device("auto").is_cuda()) GTEST_SKIP() << "there is a CUDA device";
  testing::internal::CaptureStderr();
  EXPECT_FALSE(fused_update_works(at::Device(at::kCUDA, 0)));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("; ATen updates the weights instead"));
}

constexpr int kThreads = 32;

class HostBlock {
 public:
  HostBlock(std::int64_t index, int thread, std::barrier<>& barrier, std::vector<double>& shared)
      : index_(index), thread_(thread), barrier_(barrier), shared_(shared) {}

  std::int64_t index() const { return index_; }
  int thread() const { return thread_; }
  int threads() const { return kThreads; }
  void sync() const { barrier_.arrive_and_wait(); }
  double* shared() const { return shared_.data(); }

 private:
  std::int64_t index_;
  int thread_;
  std::barrier<>& barrier_;
  std::vector<double>& shared_;
};

/// Runs body(block) in every thread of every block, one block after the other.
template <class Body>
void launch(std::int64_t blocks, const Body& body) {
  std::vector<double> shared(kThreads);
  std::barrier<> barrier(kThreads);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::int64_t index = 0; index < blocks; ++index) {
        body(cuda::UpdateBlock<float, HostBlock>(HostBlock(index, thread, barrier, shared)));
        barrier.arrive_and_wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(FusedUpdate, BlocksOfThreadsDoWhatOneThreadDoes) {
  Both both(eventful_config(), at::kFloat);
  FusedUpdate::State by_blocks = both.state;
  std::vector<std::vector<at::Tensor>*> all = {&by_blocks.weights, &by_blocks.first_moments,
                                               &by_blocks.second_moments};
  for (auto& average : by_blocks.averages) all.push_back(&average);
  for (auto* const tensors : all) {
    for (at::Tensor& tensor : *tensors) tensor = tensor.clone();
  }
  const std::vector<at::Tensor> gradients = values(2, at::kFloat);
  const at::Tensor loss = at::full({}, 1.5, at::kFloat);
  FusedUpdate fused(both.state, both.config);
  const FusedUpdate::Result result = fused(gradients, loss);

  // The last parameters, of which one has three chunks.
  cuda::UpdateTable<float> table;
  for (std::size_t i = gradients.size() - 3; i < gradients.size(); ++i) {
    const auto memory = [i](const std::vector<at::Tensor>& tensors) {
      return tensors[i].mutable_data_ptr<float>();
    };
    cuda::UpdateTensor<float> tensor = {.gradient = gradients[i].const_data_ptr<float>(),
                                        .weight = memory(by_blocks.weights),
                                        .first = memory(by_blocks.first_moments),
                                        .second = memory(by_blocks.second_moments),
                                        .averages = {},
                                        .size = gradients[i].numel(),
                                        .decays = by_blocks.decays[i],
                                        .first_chunk = 0};
    for (std::size_t k = 0; k < by_blocks.averages.size(); ++k) {
      tensor.averages[k] = memory(by_blocks.averages[k]);
    }
    table.add(tensor);
  }
  EXPECT_EQ(table.chunks, 5);
  std::vector<double> partial(static_cast<std::size_t>(table.chunks));
  launch(table.chunks, [&](const auto& block) { block.sum_squares(table, partial.data()); });
  double squares = 0.0;
  for (const double sum : partial) squares += sum;
  double expected = 0.0;
  for (std::size_t i = gradients.size() - 3; i < gradients.size(); ++i) {
    expected += gradients[i].to(at::kDouble).square().sum().item<double>();
  }
  EXPECT_NEAR(squares, expected, 1e-9 * expected);

  // Stand in for the parameters that are not in the table.
  for (std::size_t i = 0; i + 3 < gradients.size(); ++i) {
    partial.push_back(gradients[i].to(at::kDouble).square().sum().item<double>());
  }
  std::int64_t counts[2] = {0, 0};
  UpdateFactors factors = {};
  float norm = 0.0F;
  float skipped = 2.0F;
  const UpdateRules rules = update_rules(both.config);
  const cuda::Decision<float> decision = {partial.data(),
                                          static_cast<std::int64_t>(partial.size()),
                                          loss.const_data_ptr<float>(),
                                          both.state.time_used.const_data_ptr<double>(),
                                          counts,
                                          &factors,
                                          &norm,
                                          &skipped};
  launch(1, [&](const auto& block) { block.decide(rules, decision); });
  EXPECT_FLOAT_EQ(norm, result.gradient_norm.item<float>());
  EXPECT_EQ(skipped, 0.0F);
  EXPECT_EQ(counts[0], 1);
  launch(table.chunks, [&](const auto& block) { block.update(table, rules, factors); });
  for (std::size_t i = gradients.size() - 3; i < gradients.size(); ++i) {
    test::expect_close(by_blocks.weights[i], both.state.weights[i], 1e-6, "weights");
    for (std::size_t k = 0; k < by_blocks.averages.size(); ++k) {
      test::expect_close(by_blocks.averages[k][i], both.state.averages[k][i], 1e-6, "average");
    }
    test::expect_close(by_blocks.second_moments[i], both.state.second_moments[i], 1e-6, "moments");
  }
}

void expect_learners_learn_the_same(RunConfig config) {
  const NoiseSchedule schedule(config.diffusion);
  config.train.clip_grad_norm = 0.5;
  config.train.warmup = 2;
  config.train.ema_decay = 0.9;
  const NetworkShape shape = {1, 8, schedule.levels()};
  const at::Tensor images = numbers(1, {4, 1, 8, 8}).tanh();
  Learner plain(config, shape, at::kCPU, at::kDouble);
  Learner fused(config, shape, at::kCPU, at::kDouble);
  fused.use_fused_update();
  const auto step = [&](std::int64_t k) {
    const StepInputs inputs = test::step_inputs(config, k, images);
    const StepReport expected = plain.step(inputs);
    const StepReport actual = fused.step(inputs);
    test::expect_close(actual["loss"], expected["loss"], 1e-12, "loss");
    test::expect_close(actual.gradient_norm, expected.gradient_norm, 1e-12, "norm");
  };
  for (std::int64_t k = 0; k < 3; ++k) step(k);
  fused.restore(plain.state(), "the other");
  for (std::int64_t k = 3; k < 6; ++k) step(k);
  EXPECT_EQ(fused.steps_done(), 6);
  EXPECT_EQ(fused.steps_skipped(), 0);
  expect_all_close(values_of(fused.state().model), values_of(plain.state().model), 1e-11,
                   "weights");
  expect_all_close(values_of(fused.state().ema), values_of(plain.state().ema), 1e-11, "average");
  for (std::size_t i = 0; i < plain.state().more_emas.size(); ++i) {
    expect_all_close(values_of(fused.state().more_emas[i]), values_of(plain.state().more_emas[i]),
                     1e-11, concat("average ", i + 2));
  }
}

TEST(FusedUpdate, LearnersLearnTheSameWithIt) {
  RunConfig config = test::small_config();
  expect_learners_learn_the_same(config);
  config.train.optimizer = OptimizerKind::muon;
  config.train.weight_decay = 0.1;
  config.train.ema_kind = AverageKind::power;
  expect_learners_learn_the_same(config);
}

}  // namespace
}  // namespace cdm
