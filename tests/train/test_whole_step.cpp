// SPDX-License-Identifier: MIT
// Whole training steps as one recording: the numbers of steps taken one by one, nothing frozen that
// belongs to one step, no wait for the device, and runs that go on to the bit.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cdm/device/cuda_graphs.h"
#include "cdm/device/cudnn.h"
#include "cdm/device/device.h"
#include "cdm/ops/cuda_kernels.h"
#include "cdm/train/learner.h"
#include "equal_checkpoints.h"
#include "lazy_recorder.h"
#include "support.h"

namespace cdm {
namespace {

using test::lazily;
using test::numbers;
using test::Recordings;

/// Everything that a step may draw, and within a dozen steps the end of the warm-up, decays of the
/// learning rate and the start of the average. Seven images in batches of four: epochs end within
/// batches.
RunConfig eventful_config() {
  RunConfig config = test::small_config(20, 3);
  config.model.dropout = 0.3;
  config.loss.label_dropout = 0.5;
  config.data.horizontal_flip = true;
  config.data.shift = 1;
  config.data.dequantize = Dequantization::uniform;
  config.train.learning_rate = 1e-2;
  config.train.warmup = 3;
  config.train.decay_every = 4;
  config.train.decay_factor = 0.5;
  config.train.clip_grad_norm = 0.5;
  config.train.ema_decay = 0.9;
  config.train.ema_start = 5;
  return config;
}

/// The same for every objective, for a network that is no UNet, with other rules of a step, and for
/// a network that is told how images were augmented.
std::vector<RunConfig> eventful_configs() {
  std::vector<RunConfig> configs(12, eventful_config());
  configs[1].loss.kind = ObjectiveKind::nce;
  configs[2].loss.kind = ObjectiveKind::tre;
  configs[3].loss.kind = ObjectiveKind::denoising;
  configs[3].model.predicts = Prediction::noise;
  configs[4].model.kind = NetworkKind::mlp;
  for (std::size_t i = 5; i < 8; ++i) {
    configs[i].loss.level_sampling = LevelSampling::stratified;
    configs[i].loss.level_density = LevelDensity::log_snr;
    configs[i].loss.mse_weighting = MseWeighting::likelihood;
    configs[i].loss.mse_share = 0.5;
    configs[i].loss.draws_per_image = 2;
  }
  configs[5].loss.kind = ObjectiveKind::subset;
  configs[6].loss.kind = ObjectiveKind::pairs;
  configs[7].loss.kind = ObjectiveKind::time_score;
  configs[8].train.learning_rate_schedule = LearningRateSchedule::cosine;
  configs[8].train.iterations = 12;
  configs[8].train.weight_decay = 0.5;
  configs[8].train.ema_more_decays = {0.5};
  configs[9].train.optimizer = OptimizerKind::muon;
  configs[9].train.weight_decay = 0.5;
  configs[9].train.ema_kind = AverageKind::power;
  configs[10].model.head = HeadKind::pooled_inner;
  configs[11].data.horizontal_flip = false;
  configs[11].data.augment = 0.5;
  return configs;
}

std::string name_of_case(const RunConfig& config) {
  return name_of(config.loss.kind) + ", " + name_of(config.model.kind) + ", " +
         name_of(config.train.learning_rate_schedule) + ", " + name_of(config.train.optimizer) +
         (config.data.augment > 0.0 ? ", told" : "");
}

Dataset seven_images() {
  Dataset dataset;
  dataset.images = numbers(1, {7, 1, 8, 8}).mul(40.0).add(128.0).clamp(0, 255).to(at::kByte);
  dataset.labels = at::arange(7, at::kLong).remainder(3);
  return dataset;
}

/// A learner and its data.
struct Training {
  Training(const RunConfig& config, const Dataset& dataset, at::Device device = at::kCPU)
      : config(config),
        learner(config,
                {1, 8, NoiseSchedule(config.diffusion).levels(), augmentation_numbers(config.data)},
                device),
        batches(dataset, config.train.batch_size, static_cast<std::uint64_t>(config.seed),
                config.data, device, config.loss.draws_per_image) {
    learner.take_inputs_from([this](const StreamIndex& step) { return inputs(step); });
  }

  StepInputs inputs(const StreamIndex& step) {
    return inputs_of_step(config, learner.objective(), learner.model().schedule(), batches, step,
                          {0, config.train.batch_size});
  }
  StepReport step() {
    batches.prepare(learner.steps_done());
    return learner.step();
  }

  RunConfig config;
  Learner learner;
  BatchStream batches;
};

TrainingState copy_of(const TrainingState& state) {
  TrainingState copy = state;
  std::vector<NamedTensors*> all = {&copy.model, &copy.ema, &copy.exp_avg, &copy.exp_avg_sq};
  for (NamedTensors& average : copy.more_emas) all.push_back(&average);
  for (NamedTensors* const tensors : all) {
    for (auto& [name, tensor] : *tensors) tensor = tensor.detach().clone();
  }
  return copy;
}

void expect_same_reports(const StepReport& actual, const StepReport& expected) {
  ASSERT_EQ(actual.terms.size(), expected.terms.size());
  for (std::size_t i = 0; i < expected.terms.size(); ++i) {
    EXPECT_EQ(actual.terms[i].first, expected.terms[i].first);
    const double term = expected.terms[i].second.item<double>();
    if (std::isfinite(term)) {
      EXPECT_EQ(actual.terms[i].second.item<double>(), term) << expected.terms[i].first;
    }
  }
  EXPECT_EQ(actual.skipped.item<double>(), expected.skipped.item<double>());
  if (expected.skipped.item<double>() == 0.0) {
    EXPECT_EQ(actual.gradient_norm.item<double>(), expected.gradient_norm.item<double>());
  }
  EXPECT_EQ(actual.learning_rate, expected.learning_rate);
}

/// Twelve steps of both: the first by step(), the other one's with inputs that the host numbers.
void expect_same_steps(Training& whole, Training& plain) {
  std::vector<StepReport> reports;
  std::vector<StepReport> expected;
  for (std::int64_t k = 0; k < 12; ++k) {
    expected.push_back(plain.learner.step(plain.inputs(k)));
    reports.push_back(whole.step());
  }
  for (std::size_t k = 0; k < reports.size(); ++k) {  // they stay valid
    SCOPED_TRACE(k);
    expect_same_reports(reports[k], expected[k]);
  }
  test::expect_equal(whole.learner.state(), plain.learner.state());
}

void expect_learns_to_the_bit(const RunConfig& config) {
  for (const bool fused : {false, true}) {
    SCOPED_TRACE(fused);
    Training plain(config, seven_images());
    Training whole(config, seven_images());
    Recordings recordings;
    whole.learner.record_with(lazily(recordings));
    if (fused) {
      plain.learner.use_fused_update();
      whole.learner.use_fused_update();
    }
    expect_same_steps(whole, plain);
    EXPECT_EQ(recordings.made, 1);
    EXPECT_EQ(recordings.replays, 11);
  }
}

TEST(WholeStep, LearnsToTheBitAsStepsOneByOne) {
  expect_learns_to_the_bit(eventful_config());
  expect_learns_to_the_bit(eventful_configs().back());
}

/// Makes a GPU compute as in training, as start_device() does; not so any more when it is gone.
class GpuTraining {
 public:
  explicit GpuTraining(at::Device device) : device_(device) {
    use_own_cuda_kernels(true, device);
    set_cudnn(cudnn_choice(Autotuning::automatic, Work::training));
  }
  ~GpuTraining() {
    set_cudnn({.timed = false, .fixed_order = false});
    use_own_cuda_kernels(false, device_);
  }
  GpuTraining(const GpuTraining&) = delete;
  GpuTraining& operator=(const GpuTraining&) = delete;

 private:
  at::Device device_;
};

TEST(WholeStep, LearnsOnAGpuAsStepsOneByOne) {
  const at::Device device = resolve_device("auto");
  if (!device.is_cuda() || !CDM_HAS_CUDA_KERNELS) GTEST_SKIP() << "no CUDA device, or no kernels";
  const GpuTraining settings(device);
  for (RunConfig config : eventful_configs()) {
    SCOPED_TRACE(name_of_case(config));
    Training whole(config, seven_images(), device);
    config.cuda_graphs = Feature::off;
    Training plain(config, seven_images(), device);
    const std::int64_t before = cuda_graph_replays();
    expect_same_steps(whole, plain);
    EXPECT_EQ(cuda_graph_replays() - before, 11);
  }
}

// A CUDA graph keeps the numbers that the host had when it was recorded. So does this recording as
// long as nothing but replays happens: the learner's own count of steps stands still.
TEST(WholeStep, TakesNoNumberOfAStepFromTheHost) {
  for (const RunConfig& config : eventful_configs()) {
    SCOPED_TRACE(name_of_case(config));
    Training plain(config, seven_images());
    Training whole(config, seven_images());
    plain.learner.use_fused_update();
    whole.learner.use_fused_update();
    Recordings recordings;
    whole.learner.record_with(lazily(recordings));
    for (int k = 0; k < 2; ++k) whole.step();
    ASSERT_EQ(recordings.replays, 1);
    for (std::int64_t k = 2; k < 12; ++k) {
      whole.batches.prepare(k);
      recordings.replay_newest();
    }
    EXPECT_EQ(whole.learner.steps_done(), 2);
    for (std::int64_t k = 0; k < 12; ++k) plain.learner.step(plain.inputs(k));
    TrainingState replayed = whole.learner.state();
    replayed.step = 12;
    test::expect_equal(replayed, plain.learner.state());
  }
}

TEST(WholeStep, FollowsTheTimeOfTheRun) {
  RunConfig config = eventful_config();
  config.train.learning_rate_schedule = LearningRateSchedule::warmdown;
  config.train.warmdown = 1.0;
  config.train.max_minutes = 1.0;
  for (const bool fused : {false, true}) {
    SCOPED_TRACE(fused);
    Training plain(config, seven_images());
    Training whole(config, seven_images());
    Recordings recordings;
    whole.learner.record_with(lazily(recordings));
    if (fused) {
      plain.learner.use_fused_update();
      whole.learner.use_fused_update();
    }
    double before = 1.0;
    for (std::int64_t k = 0; k < 8; ++k) {
      const double time_used = 0.125 * static_cast<double>(k);
      plain.learner.set_time_used(time_used);
      whole.learner.set_time_used(time_used);
      const StepReport expected = plain.learner.step(plain.inputs(k));
      const StepReport report = whole.step();
      expect_same_reports(report, expected);
      if (k > 3) {
        EXPECT_LT(report.learning_rate, before);
      }
      before = report.learning_rate;
    }
    EXPECT_EQ(recordings.replays, 7);
    test::expect_equal(whole.learner.state(), plain.learner.state());
    // Without the time, other weights would have been learned.
    Training other(config, seven_images());
    if (fused) other.learner.use_fused_update();
    for (std::int64_t k = 0; k < 8; ++k) other.learner.step(other.inputs(k));
    EXPECT_FALSE(
        at::equal(other.learner.state().model[0].second, whole.learner.state().model[0].second));
  }
}

std::set<std::string> names_of_calls;

std::unique_ptr<at::ObserverContext> note_call(const at::RecordFunction& function) {
  names_of_calls.insert(function.name());
  return nullptr;
}

TEST(WholeStep, DoesNotWaitForTheDevice) {
  for (const RunConfig& config : eventful_configs()) {
    SCOPED_TRACE(name_of_case(config));
    Training whole(config, seven_images());
    whole.learner.use_fused_update();
    Recordings recordings;
    recordings.around = [](const std::function<void()>& work) {
      const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(note_call));
      work();
      at::removeCallback(handle);
    };
    whole.learner.record_with(lazily(recordings));
    names_of_calls.clear();
    for (int k = 0; k < 3; ++k) whole.step();
    EXPECT_THAT(names_of_calls, testing::Contains("aten::index_select"));  // calls are noted
    // What reads a value of the device, or has a size that depends on values, or copies from the
    // host's memory.
    for (const char* const name :
         {"aten::item", "aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal",
          "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim",
          "aten::repeat_interleave", "aten::pin_memory", "aten::_pin_memory", "aten::randperm",
          "aten::lift_fresh"}) {
      EXPECT_THAT(names_of_calls, testing::Not(testing::Contains(name)));
    }
  }
}

TEST(WholeStep, IsRecordedAgainAfterItsMemoryWasNeeded) {
  Training plain(eventful_config(), seven_images());
  Training whole(eventful_config(), seven_images());
  EXPECT_FALSE(whole.learner.forget_recordings());
  Recordings recordings;
  whole.learner.record_with(lazily(recordings));
  for (std::int64_t k = 0; k < 8; ++k) {
    if (k == 4) {
      EXPECT_EQ(*recordings.alive, 1);
      EXPECT_TRUE(whole.learner.forget_recordings());
      EXPECT_EQ(*recordings.alive, 0);
    }
    expect_same_reports(whole.step(), plain.learner.step(plain.inputs(k)));
  }
  EXPECT_EQ(recordings.made, 2);
  EXPECT_EQ(recordings.replays, 6);
  test::expect_equal(whole.learner.state(), plain.learner.state());
}

void expect_bad_steps_left_out(RunConfig config) {
  config.data.dequantize = Dequantization::none;
  Dataset dataset = seven_images();
  dataset.images = dataset.images.to(at::kFloat).div(128.0).sub(1.0);
  dataset.images[3][0][2][2].fill_(std::numeric_limits<double>::quiet_NaN());
  for (const bool fused : {false, true}) {
    SCOPED_TRACE(fused);
    Training plain(config, dataset);
    Training whole(config, dataset);
    Recordings recordings;
    whole.learner.record_with(lazily(recordings));
    if (fused) {
      plain.learner.use_fused_update();
      whole.learner.use_fused_update();
    }
    for (std::int64_t k = 0; k < 12; ++k) {
      SCOPED_TRACE(k);
      const TrainingState before = copy_of(whole.learner.state());
      const StepReport expected = plain.learner.step(plain.inputs(k));
      const StepReport report = whole.step();
      expect_same_reports(report, expected);
      if (report.skipped.item<double>() == 0.0) continue;
      TrainingState after = whole.learner.state();
      after.step = before.step;
      after.skipped = before.skipped;
      test::expect_equal(after, before);
    }
    EXPECT_EQ(recordings.replays, 11);
    EXPECT_GE(whole.learner.steps_skipped(), 4);
    EXPECT_LE(whole.learner.steps_skipped(), 9);
    test::expect_equal(whole.learner.state(), plain.learner.state());
  }
}

TEST(WholeStep, LeavesOutStepsThatAreNotFinite) {
  expect_bad_steps_left_out(eventful_config());
  expect_bad_steps_left_out(eventful_configs().back());
}

TEST(WholeStep, BatchesInPartsAndDataElsewhereAreNotRecordedAsAWhole) {
  for (const bool in_parts : {true, false}) {
    SCOPED_TRACE(in_parts);
    RunConfig config = eventful_config();
    if (in_parts) config.train.micro_batch_size = 2;
    Training plain(config, seven_images());
    Training other(config, seven_images());
    if (!in_parts) {
      other.learner.take_inputs_from(
          [&](const StreamIndex& step) { return other.inputs(step.number()); },
          /*by_device=*/false);
    }
    int made = 0;
    other.learner.record_with([&]() -> std::unique_ptr<GraphRecorder> {
      ++made;
      throw std::runtime_error("no graphs here");
    });
    testing::internal::CaptureStderr();
    for (std::int64_t k = 0; k < 4; ++k) {
      expect_same_reports(other.step(), plain.learner.step(plain.inputs(k)));
    }
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("no graphs here"));
    EXPECT_EQ(made, 1) << "the recording of loss and gradients";
    test::expect_equal(other.learner.state(), plain.learner.state());
  }
}

TEST(WholeStep, GoesOnWithoutWhereRecordingFails) {
  Training plain(eventful_config(), seven_images());
  Training whole(eventful_config(), seven_images());
  int made = 0;
  whole.learner.record_with([&]() -> std::unique_ptr<GraphRecorder> {
    ++made;
    throw std::runtime_error("no graphs here");
  });
  testing::internal::CaptureStderr();
  for (std::int64_t k = 0; k < 6; ++k) {
    expect_same_reports(whole.step(), plain.learner.step(plain.inputs(k)));
  }
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(made, 2) << "the whole step, then loss and gradients";
  test::expect_equal(whole.learner.state(), plain.learner.state());
}

TEST(WholeStep, ARunInBf16GoesOnToTheBit) {
  const at::Device device = resolve_device("auto");
  const bool gpu = device.is_cuda() && CDM_HAS_CUDA_KERNELS;
  const std::int64_t steps = gpu ? 2000 : 12;
  RunConfig config = eventful_config();
  config.precision = Arithmetic::bf16;
  std::optional<GpuTraining> settings;
  if (gpu) {
    settings.emplace(device);
    config.train.warmup = 100;
    config.train.decay_every = 700;
    config.train.ema_start = 300;
  }
  const at::Device there = gpu ? device : at::Device(at::kCPU);
  Recordings recordings;
  const auto training = [&](Training& made) {
    if (gpu) return;  // Learner records by itself
    made.learner.use_fused_update();
    made.learner.record_with(lazily(recordings));
  };
  Training whole(config, seven_images(), there);
  training(whole);
  TrainingState middle;
  for (std::int64_t k = 0; k < steps; ++k) {
    if (k == steps / 2) middle = copy_of(whole.learner.state());
    whole.step();
  }
  // The step after the restoration is not a replay in a new process, and is one where another run
  // has made the recording.
  for (const bool is_new : {true, false}) {
    SCOPED_TRACE(is_new);
    Training resumed(config, seven_images(), there);
    training(resumed);
    for (int k = 0; k < 2 && !is_new; ++k) resumed.step();
    resumed.learner.restore(middle, "the middle");
    while (resumed.learner.steps_done() < steps) resumed.step();
    test::expect_equal(resumed.learner.state(), whole.learner.state());
  }
}

}  // namespace
}  // namespace cdm
