// SPDX-License-Identifier: MIT
// cdm-convert as a program: round trips, training that goes on, and what it refuses.
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include "arrays.h"
#include "cdm/io/npz.h"
#include "cdm/io/safetensors.h"
#include "cdm/io/torch_file.h"
#include "cdm/run/checkpoint.h"
#include "cdm/train/learner.h"
#include "cdm/weights/official_checkpoint.h"
#include "equal_checkpoints.h"
#include "messages.h"
#include "process.h"
#include "support.h"

namespace cdm {
namespace {

using test::expect_equal;

using testing::HasSubstr;

/// A folder with images.npz, config.yaml and official.pth, which is at step 3 of training.
class Convert : public testing::Test {
 protected:
  void prepare(std::int64_t head_channels, std::int64_t num_classes) {
    RunConfig config = test::small_config(20, num_classes);
    config.data.kind = DataKind::npz;
    config.data.path = work_ / "images.npz";
    config.data.image_size = 8;
    config.train.log_every = 1;
    config.train.nll_every = config.train.sample_every = 0;
    test::write_text(work_ / "config.yaml", to_yaml(config));
    NpzWriter images(work_ / "images.npz");
    images.write("arr_0",
                 test::numbers(1, {5, 8, 8, 1}).mul(100.0).clamp(0.0, 255.0).to(at::kByte));
    images.close();

    config.model.head_channels = head_channels;
    Learner learner(config, {1, 8, 22}, at::kCPU);
    state_ = learner.state();
    state_.step = 3;
    std::uint64_t index = 10;
    for (NamedTensors* const part : {&state_.ema, &state_.exp_avg, &state_.exp_avg_sq}) {
      for (auto& [name, tensor] : *part) {
        tensor = test::numbers(++index, tensor.sizes(), at::kFloat).abs();
      }
    }
    write_official_checkpoint(work_ / "official.pth", state_, config.train);
  }

  test::Finished convert(const std::string& input, const std::string& out,
                         std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {input, "--out", out});
    return test::run("cdm-convert", more);
  }
  test::Finished import_as(const std::string& out, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"--config", work_ / "config.yaml"});
    return convert(work_ / "official.pth", out, more);
  }

  static TrainingState checkpoint_of(const std::string& run, const std::string& name) {
    return read_checkpoint(std::filesystem::path(run) / "checkpoints" / name);
  }

  test::TemporaryFolder work_;
  TrainingState state_;
};

TEST_F(Convert, RoundTripKeepsEveryTensor) {
  prepare(0, 3);
  const std::string run = work_ / "run", again = work_ / "again", file = work_ / "again.pth";
  ASSERT_EQ(import_as(run).exit_code, 0);
  expect_equal(checkpoint_of(run, "step-00000003"), state_);
  ASSERT_EQ(convert(run, file).out, file + "\n");
  expect_equal(read_official_checkpoint(file).state, state_);
  ASSERT_EQ(convert(file, again, {"--config", run + "/config.yaml"}).exit_code, 0);
  expect_equal(checkpoint_of(again, "step-00000003"), state_);
  EXPECT_EQ(test::read_text(again + "/config.yaml"), test::read_text(run + "/config.yaml"));
}

TEST_F(Convert, RoundTripKeepsInnerProducts) {
  RunConfig config = test::small_config(20);
  config.data.kind = DataKind::npz;
  config.data.path = work_ / "images.npz";
  config.data.image_size = 8;
  config.data.channels = 1;
  config.model.head = HeadKind::pooled_inner;
  test::write_text(work_ / "config.yaml", to_yaml(config));
  write_official_checkpoint(work_ / "official.pth", Learner(config, {1, 8, 22}, at::kCPU).state(),
                            config.train);
  const std::string run = work_ / "run";
  const test::Finished done = import_as(run);
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(load_config(run + "/config.yaml").model.head_channels, 0);
}

TEST_F(Convert, SafetensorsHoldTheWeightsAskedFor) {
  prepare(0, 0);
  const std::string run = work_ / "run", file = work_ / "weights.safetensors";
  ASSERT_EQ(import_as(run).exit_code, 0);
  ASSERT_EQ(convert(run, file).out, file + "\n");
  expect_equal(test::read_safetensors(file).tensors, state_.ema);
  ASSERT_EQ(convert(run + "/checkpoints/step-00000003", file, {"--weights", "model"}).exit_code, 0);
  const SafetensorsFile model = test::read_safetensors(file);
  expect_equal(model.tensors, state_.model);
  EXPECT_EQ(model.metadata.at("format"), "pt");
}

TEST_F(Convert, TrainingGoesOnAtTheImportedStep) {
  prepare(5, 0);
  const std::string run = work_ / "run";
  ASSERT_EQ(import_as(run).exit_code, 0);
  const test::Finished trained = test::run(
      "cdm-train",
      {run + "/config.yaml", "--run-dir", run, "--device=cpu", "--set", "train.iterations=5"});
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("going on from step 3"));
  const std::string metrics = test::read_text(run + "/metrics.jsonl");
  EXPECT_THAT(metrics, testing::StartsWith("{\"step\":4,"));
  EXPECT_THAT(metrics, HasSubstr("\n{\"step\":5,"));
  // Two steps of Adam move a weight by about the learning rate each, from where it was.
  const TrainingState after = checkpoint_of(run, "step-00000005");
  for (std::size_t i = 0; i < state_.model.size(); ++i) {
    const double moved =
        (after.model[i].second - state_.model[i].second).abs().max().item<double>();
    EXPECT_LT(moved, 0.1) << state_.model[i].first;
    EXPECT_GT(moved, 0.0) << state_.model[i].first;
  }
}

TEST_F(Convert, TrainingDoesNotBeginAgainWithoutTheImportedCheckpoint) {
  prepare(0, 0);
  const std::string run = work_ / "run";
  ASSERT_EQ(import_as(run).exit_code, 0);
  std::filesystem::rename(run + "/checkpoints", work_ / "elsewhere");
  const test::Finished lost = test::run(
      "cdm-train",
      {run + "/config.yaml", "--run-dir", run, "--device=cpu", "--set", "train.iterations=5"});
  EXPECT_EQ(lost.exit_code, 2);
  EXPECT_THAT(lost.err, test::mentions("step-00000003 was saved", "--from-scratch"));
}

TEST_F(Convert, ReadsTheConfigurationOffTheWeights) {
  prepare(5, 0);
  const std::string run = work_ / "run";
  const test::Finished done = import_as(run, {"--set", "data.channels=0"});
  EXPECT_EQ(done.out, run + "\n");
  EXPECT_THAT(done.err, HasSubstr("model.head_channels = 5"));
  const RunConfig config = load_config(run + "/config.yaml");
  EXPECT_EQ(config.model.head_channels, 5);
  EXPECT_EQ(config.data.channels, 1);
  test::run_well("cdm-sample", {run, "--device=cpu", "-n1", "--steps=1", "--out", work_ / "a.npz"});
  EXPECT_THAT(import_as(run).err, HasSubstr("is a run already"));
}

TEST_F(Convert, SettlesTheResolutionsForTheSizeOfTheImages) {
  prepare(0, 0);
  const std::string run = work_ / "run";
  const test::Finished done =
      import_as(run, {"--set", "model.channel_mult=[]", "--set", "data.image_size=6", "--set",
                      "model.attention_resolutions=[3]"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(load_config(run + "/config.yaml").model.channel_mult,
            (std::vector<std::int64_t>{1, 2}));
}

TEST_F(Convert, SaysWhichWeightsItTook) {
  prepare(0, 0);
  const TorchValue file = read_torch(work_ / "official.pth");
  const auto& members = *file.get<TorchDict>();
  const TorchValue& weights = *members.find("model_state_dict");
  const auto take = [&](const TorchDict& content, const std::string& run) {
    write_torch(work_ / "other.pth", content);
    const test::Finished done =
        convert(work_ / "other.pth", work_ / run, {"--config", work_ / "config.yaml"});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    const TrainingState read = checkpoint_of(work_ / run, "step-00000000");
    expect_equal(read.model, state_.model);
    expect_equal(read.ema, state_.model);
    return done.err;
  };
  EXPECT_THAT(take(TorchDict{{{"model_state_dict", weights},
                              {"ema", *members.find("ema_model_state_dict")},
                              {"optimizer_state_dict", TorchDict()}}},
                   "stripped"),
              test::mentions("warning: ", "'model_state_dict' were taken", "'ema' holds",
                             "no state of the optimizer"));
  EXPECT_THAT(take(*weights.get<TorchDict>(), "bare"),
              test::mentions("warning: ", "a bare state_dict", "as their moving average"));
  const test::Finished whole = import_as(work_ / "whole");
  EXPECT_EQ(whole.err.find("warning"), std::string::npos) << whole.err;
}

TEST_F(Convert, RefusesWhatDoesNotFit) {
  prepare(0, 3);
  const std::string out = work_ / "run";
  const auto expect_refusal = [&](const test::Finished& done, const auto&... named) {
    EXPECT_EQ(done.exit_code, 2) << done.err;
    EXPECT_THAT(done.err, test::mentions(named...));
    EXPECT_THAT(done.err, testing::StartsWith("error: "));
    EXPECT_EQ(done.err.find('\n'), done.err.size() - 1) << done.err;
    EXPECT_EQ(done.out, "");
    EXPECT_FALSE(std::filesystem::exists(out)) << done.err;
  };
  const auto with = [&](const std::string& setting) { return import_as(out, {"--set", setting}); };
  expect_refusal(with("diffusion.steps=1000"), "diffusion.steps", "20", "1000");
  expect_refusal(with("model.num_classes=10"), "model.num_classes", "3", "10");
  expect_refusal(with("data.image_size=0"), "data.image_size");
  expect_refusal(with("model.channels=16"), "conv_in.weight", "[8, 1, 3, 3]", "[16, 1");
  expect_refusal(with("model.head_channels=5"), "linear_layer.weight", "[22, 16]", "[22, 5");
  expect_refusal(with("model.res_blocks=2"), "down.0.block.1.norm1.weight", "missing");
  expect_refusal(with("data.channels=3"), "conv_in.weight", "[8, 1, 3, 3]", "[8, 3, 3, 3]");
  expect_refusal(
      import_as(out, {"--set", "data.augment=0.1", "--set", "data.horizontal_flip=false"}),
      "data.augment must be 0, not 0.1");
  expect_refusal(with("model.anchor=gaussian"), "model.anchor must be none, not gaussian");
  expect_refusal(convert(work_ / "official.pth", out), "--config");
  expect_refusal(convert(work_ / "none.pth", out, {"--config", work_ / "config.yaml"}), "none.pth");
  test::write_text(work_ / "pointer.pth", "version https://git-lfs.github.com/spec/v1\n");
  expect_refusal(convert(work_ / "pointer.pth", out, {"--config", work_ / "config.yaml"}),
                 "pointer.pth", "git lfs pull");
  test::write_text(work_ / "broken.pth", test::read_text(work_ / "official.pth").substr(0, 9999));
  expect_refusal(convert(work_ / "broken.pth", out, {"--config", work_ / "config.yaml"}),
                 "broken.pth");
  expect_refusal(convert(work_ / "none", work_ / "a.pth"), work_ / "none", "run directory");

  ASSERT_EQ(import_as(work_ / "good").exit_code, 0);
  expect_refusal(convert(work_ / "good", out + ".txt"), out + ".txt", ".safetensors", ".pth");
  expect_refusal(convert(work_ / "good", out + "/a.pth"), out, "does not exist");
  expect_refusal(convert(work_ / "good", work_ / "a.pth", {"--weights=ema"}), "--weights", "both");
  expect_refusal(convert(work_ / "good", work_ / "a.pth", {"--set", "seed=1"}), "--set");
}

}  // namespace
}  // namespace cdm
