// SPDX-License-Identifier: MIT
// Recording and replaying. On the CPU a recorder that runs its work once more stands in for CUDA
// graphs: it reads the memory of the recording only, as they do.
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cdm/device/device.h"
#include "cdm/device/precision.h"
#include "cdm/device/recorded.h"
#include "cdm/inference/evaluators.h"
#include "cdm/sample/sample.h"
#include "cdm/train/learner.h"
#include "cdm/train/make_model.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;

struct Counts {
  int made = 0, replays = 0;
};

class AgainRecorder final : public GraphRecorder {
 public:
  explicit AgainRecorder(Counts& counts) : counts_(counts) { ++counts.made; }

  void record(const std::function<void()>& work) override {
    work_ = work;
    work();
  }
  void replay() override {
    ++counts_.replays;
    work_();
  }

 private:
  Counts& counts_;
  std::function<void()> work_;
};

MakeRecorder again(Counts& counts) {
  return [&counts] { return std::make_unique<AgainRecorder>(counts); };
}

Tensors twice_first(const Tensors& in) { return {in[0] * 2.0}; }

at::Tensor of(double value, std::int64_t size = 2) { return at::full({size}, value, at::kDouble); }

TEST(Recorded, RunsPlainlyAtFirstAndReplaysThen) {
  Counts counts;
  Recorded recorded(twice_first, again(counts));
  for (int call = 1; call <= 7; ++call) {
    const at::Tensor out = recorded({of(call)})[0];
    EXPECT_TRUE(at::equal(out, of(2.0 * call))) << "call " << call;
    EXPECT_EQ(recorded.replayed(), call > 1) << "call " << call;
  }
  EXPECT_EQ(counts.made, 1);
  EXPECT_EQ(counts.replays, 6);
}

TEST(Recorded, InputsOfOtherShapesRunPlainly) {
  Counts counts;
  Recorded recorded(twice_first, again(counts));
  recorded({of(1.0, 5)});
  recorded({of(1.0)});
  EXPECT_EQ(counts.made, 0) << "calls of another shape were counted";
  recorded({of(1.0)});
  EXPECT_TRUE(at::equal(recorded({of(3.0, 5)})[0], of(6.0, 5)));
  EXPECT_FALSE(recorded.replayed());
  EXPECT_TRUE(at::equal(recorded({of(4.0)})[0], of(8.0)));
  EXPECT_TRUE(recorded.replayed());
}

TEST(Recorded, UndefinedInputsStaySo) {
  Counts counts;
  Recorded recorded(
      [](const Tensors& in) -> Tensors { return {in[1].defined() ? in[0] + in[1] : in[0]}; },
      again(counts));
  for (int call = 1; call <= 5; ++call) {
    EXPECT_TRUE(at::equal(recorded({of(call), at::Tensor()})[0], of(call)));
  }
  EXPECT_TRUE(recorded.replayed());
  EXPECT_TRUE(at::equal(recorded({of(1.0), of(2.0)})[0], of(3.0)));
  EXPECT_FALSE(recorded.replayed());
}

TEST(Recorded, GoesOnWithoutWhereRecordingFails) {
  int tries = 0;
  Recorded recorded(twice_first, [&]() -> std::unique_ptr<GraphRecorder> {
    ++tries;
    throw std::runtime_error("no graphs here");
  });
  testing::internal::CaptureStderr();
  for (int call = 1; call <= 6; ++call) {
    EXPECT_TRUE(at::equal(recorded({of(call)})[0], of(2.0 * call)));
    EXPECT_FALSE(recorded.replayed());
  }
  EXPECT_EQ(tries, 1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("cuda_graphs: no graphs here; "));
}

TEST(CudaGraphs, SayWhyThereAreNone) {
  if (resolve_device("auto").is_cuda()) GTEST_SKIP() << "there is a CUDA device";
  const MakeRecorder make = cuda_graphs(at::Device(at::kCUDA, 0));  // which alone needs nothing
  EXPECT_THROW(make(), std::exception);
}

/// Two learners of one configuration, one of them recorded: the same weights after every step.
void expect_same_learning(RunConfig config, at::Device device, const MakeRecorder& recorder,
                          double tolerance, std::int64_t rows = 6) {
  config.cuda_graphs = Feature::off;  // on a GPU, learners record by themselves otherwise
  const NoiseSchedule schedule(config.diffusion);
  const NetworkShape shape = {1, 8, schedule.levels()};
  const at::TensorOptions there = at::TensorOptions().dtype(at::kFloat).device(device);
  const at::Tensor x0 = numbers(1, {rows, 1, 8, 8}).tanh().to(there);
  const at::Tensor labels = config.model.num_classes > 0
                                ? at::arange(rows, at::kLong).remainder(3).to(device)
                                : at::Tensor();
  Learner plain(config, shape, device);
  Learner recorded(config, shape, device);
  recorded.record_with(recorder);
  for (std::int64_t k = 0; k < 9; ++k) {
    const StepInputs inputs = test::step_inputs(config, k, x0, labels);
    const StepReport expected = plain.step(inputs);
    const StepReport actual = recorded.step(inputs);
    const auto expect_close = [&](const at::Tensor& a, const at::Tensor& b, const char* what) {
      EXPECT_NEAR(a.item<double>(), b.item<double>(), tolerance) << what << " of step " << k;
    };
    expect_close(actual["loss"], expected["loss"], "loss");
    expect_close(actual["mse"], expected["mse"], "squared error");
    expect_close(actual.gradient_norm, expected.gradient_norm, "norm of the gradient");
  }
}

/// Everything that may ask for something of its own in a step.
RunConfig demanding_config() {
  RunConfig config = test::small_config(20, 3);
  config.model.dropout = 0.3;
  config.train.micro_batch_size = 4;
  config.train.warmup = 4;
  config.train.ema_decay = 0.9;
  config.train.clip_grad_norm = 0.5;
  return config;
}

TEST(RecordedLearner, LearnsToTheBitAsAPlainOne) {
  for (const Prediction predicts : {Prediction::logits, Prediction::noise}) {
    SCOPED_TRACE(name_of(predicts));
    Counts counts;
    RunConfig config = demanding_config();
    config.model.predicts = predicts;
    config.loss.kind =
        predicts == Prediction::logits ? ObjectiveKind::cdm : ObjectiveKind::denoising;
    expect_same_learning(config, at::kCPU, again(counts), 0.0);
    EXPECT_EQ(counts.made, 1);
    // Nine steps of two micro-batches of one size; the first of these 18 runs plainly.
    EXPECT_EQ(counts.replays, 17);
  }
}

TEST(RecordedLearner, MicroBatchesOfTwoSizesHaveARecordingEach) {
  Counts counts;
  expect_same_learning(demanding_config(), at::kCPU, again(counts), 0.0, /*rows=*/7);  // 3 and 4
  EXPECT_EQ(counts.made, 2);
  EXPECT_EQ(counts.replays, 16);  // eight of the nine steps, of both, after a plain one
}

TEST(RecordedLearner, ReportsStayAfterTheNextStep) {
  Counts counts;
  const RunConfig config = test::small_config();
  const NoiseSchedule schedule(config.diffusion);
  const at::Tensor x0 = numbers(1, {4, 1, 8, 8}, at::kFloat).tanh();
  Learner learner(config, {1, 8, schedule.levels()}, at::kCPU);
  learner.record_with(again(counts));
  std::vector<at::Tensor> losses;
  std::vector<double> values;
  for (std::int64_t k = 0; k < 8; ++k) {
    losses.push_back(learner.step(test::step_inputs(config, k, x0))["loss"]);
    values.push_back(losses.back().item<double>());
  }
  for (std::size_t k = 0; k < losses.size(); ++k) EXPECT_EQ(losses[k].item<double>(), values[k]);
}

TEST(RecordedLearner, LearnsFromOtherBatchesAndParts) {
  Counts counts;
  RunConfig config = demanding_config();
  config.train.micro_batch_size = 0;
  const NoiseSchedule schedule(config.diffusion);
  const NetworkShape shape = {1, 8, schedule.levels()};
  const at::Tensor x0 = numbers(1, {6, 1, 8, 8}, at::kFloat).tanh();
  const at::Tensor labels = at::tensor({0, 1, 2, 0, 1, 2}, at::kLong);
  Learner plain(config, shape, at::kCPU);
  Learner recorded(config, shape, at::kCPU);
  recorded.record_with(again(counts));
  const auto expect_same = [&](std::int64_t step, const StepInputs& inputs) {
    SCOPED_TRACE(step);
    const StepReport expected = plain.step(inputs);
    const StepReport actual = recorded.step(inputs);
    EXPECT_EQ(actual["loss"].item<double>(), expected["loss"].item<double>());
    EXPECT_EQ(actual.gradient_norm.item<double>(), expected.gradient_norm.item<double>());
  };
  for (std::int64_t k = 0; k < 6; ++k) {
    expect_same(k, test::step_inputs(config, k, x0, labels));
  }
  EXPECT_EQ(counts.replays, 5);
  const StepInputs whole = test::step_inputs(config, 6, x0, labels);
  expect_same(6, rows_of(whole, {0, 6}));
  EXPECT_EQ(counts.replays, 6);
  expect_same(7, rows_of(whole, {2, 4}));
  expect_same(8, test::step_inputs(config, 8, x0.narrow(0, 0, 5), labels.narrow(0, 0, 5)));
  expect_same(9, test::step_inputs(config, 9, x0.narrow(0, 0, 5), labels.narrow(0, 0, 5)));
  EXPECT_EQ(counts.replays, 6);
}

TEST(RecordedLearner, LearnsOnAGpuAsAPlainOne) {
  const at::Device device = resolve_device("auto");
  if (!device.is_cuda()) GTEST_SKIP() << "no CUDA device";
  allow_tf32(false);
  int made = 0;
  const auto recorder = [&] {
    ++made;
    return cuda_graphs(device)();
  };
  RunConfig config = demanding_config();
  config.precision = Arithmetic::fp32;
  expect_same_learning(config, device, recorder, 1e-4);
  EXPECT_EQ(made, 1);
}

TEST(RecordedEvaluator, ScoresImagesAsThePlainModel) {
  const RunConfig config = test::small_config(20, 3);
  const Model plain = test::small_model(config);
  for (const auto& [name, value] : plain.network().parameters()) {
    value.add_(numbers(7, value.sizes()), 0.05);
  }
  Counts counts;
  const Model recorded = plain.with_evaluator(recorded_evaluator(again(counts)));
  const at::Tensor images = numbers(2, {14, 1, 8, 8});
  const at::Tensor levels = at::arange(14, at::kLong);
  const at::Tensor labels = levels.remainder(3);
  std::vector<at::Tensor> scores;
  const auto scores_of = [&](const Model& model, std::int64_t first, std::int64_t count) {
    const auto rows = [&](const at::Tensor& all) { return all.narrow(0, first, count); };
    return model.density().log_prob(rows(images), rows(levels), rows(labels));
  };
  for (std::int64_t first = 0; first < 14; first += 4) {  // the last batch is smaller
    scores.push_back(scores_of(recorded, first, std::min<std::int64_t>(4, 14 - first)));
  }
  EXPECT_EQ(counts.replays, 2);
  for (std::int64_t i = 0; i < 4; ++i) {  // earlier scores stay valid
    EXPECT_TRUE(at::equal(scores[static_cast<std::size_t>(i)],
                          scores_of(plain, 4 * i, std::min<std::int64_t>(4, 14 - 4 * i))))
        << "batch " << i;
  }
}

class RecordedSampler : public testing::TestWithParam<SamplerKind> {};

TEST_P(RecordedSampler, DrawsTheImagesOfThePlainModel) {
  const RunConfig config = test::small_config(20, 3);
  const NoiseSchedule schedule(config.diffusion);
  const Model plain =
      make_model(config, {1, 8, schedule.levels()}, at::kCPU, {at::kDouble, at::kDouble, false}, 5);
  // Its last layer begins at zero.
  for (const auto& [name, value] : plain.network().parameters()) {
    value.add_(numbers(7, value.sizes()), 0.05);
  }
  SampleConfig sampling = config.sample;
  sampling.sampler = GetParam();
  sampling.steps = 10;
  const at::Tensor labels = at::tensor({0, 2}, at::kLong);
  const at::Tensor x_T = numbers(2, {2, 1, 8, 8});
  const SampleDraws draws = {.seed = 3};
  for (const double guidance : {0.0, 1.5}) {
    SCOPED_TRACE(guidance);
    sampling.guidance = guidance;
    Counts counts;
    const Model recorded = plain.with_evaluator(recorded_evaluator(again(counts)));
    EXPECT_TRUE(at::equal(sample(recorded, sampling, x_T, labels, draws),
                          sample(plain, sampling, x_T, labels, draws)));
    EXPECT_GE(counts.replays, 7);
  }
}

INSTANTIATE_TEST_SUITE_P(Samplers, RecordedSampler,
                         testing::Values(SamplerKind::ddpm, SamplerKind::ddim,
                                         SamplerKind::dpm_solver_2, SamplerKind::dpm_solver_pp_2m,
                                         SamplerKind::heun, SamplerKind::euler));

}  // namespace
}  // namespace cdm
