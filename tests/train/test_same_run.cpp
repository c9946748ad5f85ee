// SPDX-License-Identifier: MIT
// What a run was trained with: what may change when it is resumed, and how a model is loaded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "cdm/run/model_files.h"
#include "cdm/run/run_dir.h"
#include "config/keys.h"
#include "run_folder.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::overwrite;
using test::user_error;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using RunFolder = test::RunFolder;

TEST(ForbiddenChanges, NameKeyOldAndNewValue) {
  RunConfig saved;
  EXPECT_THAT(forbidden_changes(saved, saved), IsEmpty());
  RunConfig wanted = saved;
  wanted.seed = 1;
  wanted.model.channel_mult = {1, 2};
  wanted.train.batch_size = 64;
  wanted.train.iterations = 7;
  EXPECT_THAT(forbidden_changes(saved, wanted),
              ElementsAre("seed: 0 -> 1", "model.channel_mult: [] -> [1, 2]",
                          "train.batch_size: 128 -> 64"));
}

TEST(ForbiddenChanges, AreAllThatWouldMakeItAnotherRun) {
  const std::set<std::string> free = {"device",
                                      "operations",
                                      "collectives",
                                      "precision",
                                      "own_cuda_kernels",
                                      "cuda_graphs",
                                      "cudnn_autotuning",
                                      "data.path",
                                      "data.test_path",
                                      "data.skip_unreadable",
                                      "sample.sampler",
                                      "sample.steps",
                                      "sample.spacing",
                                      "sample.guidance",
                                      "sample.eta",
                                      "train.iterations",
                                      "train.micro_batch_size",
                                      "train.learning_rate",
                                      "train.learning_rate_schedule",
                                      "train.final_learning_rate_factor",
                                      "train.warmdown",
                                      "train.weight_decay",
                                      "train.average_every",
                                      "train.decay_every",
                                      "train.decay_factor",
                                      "train.clip_grad_norm",
                                      "train.log_every",
                                      "train.checkpoint_every",
                                      "train.keep_checkpoints",
                                      "train.sample_every",
                                      "train.sample_count",
                                      "train.nll_every",
                                      "train.nll_images",
                                      "train.max_minutes",
                                      "train.checkpoint_minutes",
                                      "train.skip_bad_steps"};
  for (const Key& key : config_keys()) {
    EXPECT_EQ(key.resume == Resume::may_change, free.contains(key.full_name())) << key.full_name();
  }
  const RunConfig saved;
  const auto changes = [&](auto change) {
    RunConfig wanted;
    change(wanted);
    return forbidden_changes(saved, wanted);
  };
  EXPECT_THAT(changes([](RunConfig& c) { c.sample.eta = 0.5; }), IsEmpty());
  EXPECT_THAT(changes([](RunConfig& c) { c.device = "cpu"; }), IsEmpty());
  EXPECT_THAT(changes([](RunConfig& c) { c.data.path = "/x"; }), IsEmpty());
  EXPECT_THAT(changes([](RunConfig& c) { c.train.iterations = 1; }), IsEmpty());
  EXPECT_THAT(changes([](RunConfig& c) { c.operations = Operations::plain; }), IsEmpty());
  EXPECT_THAT(changes([](RunConfig& c) { c.seed = 1; }), ElementsAre("seed: 0 -> 1"));
  EXPECT_THAT(changes([](RunConfig& c) { c.train.warmup = 1; }),
              ElementsAre("train.warmup: 5000 -> 1"));
}

TEST(ForbiddenChanges, OfAKindNameTheKindAlone) {
  RunConfig linear;
  linear.diffusion.beta_end = 0.1;
  RunConfig cosine;
  cosine.diffusion.schedule = ScheduleKind::cosine;
  EXPECT_THAT(forbidden_changes(linear, cosine),
              ElementsAre("diffusion.schedule: linear -> cosine"));
  RunConfig ddim;
  ddim.sample.eta = 0.5;
  RunConfig heun;
  heun.sample.sampler = SamplerKind::heun;
  EXPECT_THAT(forbidden_changes(ddim, heun), IsEmpty());
}

TEST_F(RunFolder, AModelIsARunOrACheckpointOfOne) {
  run_.save_config(RunConfig());
  EXPECT_EQ(user_error([&] { find_model(run_.root()); }),
            run_.root().string() + ": this run has no checkpoint yet");
  save(1);
  save(2);
  for (const fs::path& path : {run_.root(), run_.root() / "", run_.root() / "checkpoints" / ".."}) {
    const ModelFiles files = find_model(path);
    EXPECT_TRUE(fs::equivalent(files.config, run_.config()));
    EXPECT_TRUE(fs::equivalent(files.checkpoint, run_.checkpoints() / "step-00000002"));
  }
  const fs::path first = run_.checkpoints() / "step-00000001";
  for (const fs::path& path : {first, first / "", first / "."}) {
    const ModelFiles files = find_model(path);
    EXPECT_TRUE(fs::equivalent(files.config, run_.config())) << path;
    EXPECT_TRUE(fs::equivalent(files.checkpoint, first)) << path;
  }
  const fs::path before = fs::current_path();
  fs::current_path(first);
  EXPECT_TRUE(fs::equivalent(find_model(".").checkpoint, first));
  EXPECT_TRUE(fs::equivalent(find_model(".").config, run_.config()));
  fs::current_path(before);

  EXPECT_EQ(user_error([&] { find_model(folder_ / "none"); }),
            (folder_ / "none").string() +
                ": there is no run directory (with config.yaml) or checkpoint of one");
  for (const fs::path& other : {folder_, run_.checkpoints(), first / "state.json"}) {
    EXPECT_EQ(user_error([&] { find_model(other); }),
              other.string() + ": is not a run directory (with config.yaml) or checkpoint of one");
  }
}

TEST_F(RunFolder, AModelHasTheConfigurationThatItWasTrainedWith) {
  save(1);
  const fs::path checkpoint = run_.checkpoints() / "step-00000001";
  const auto config_of = [](const fs::path& path, const std::vector<std::string>& overrides = {}) {
    return load_config(find_model(path), overrides);
  };
  EXPECT_EQ(config_of(run_.root()).model.channels, RunConfig().model.channels)
      << "there is no config.yaml";
  EXPECT_EQ(config_of(checkpoint, {"sample.steps=7"}).sample.steps, 7);

  RunConfig edited;
  edited.device = "cpu";
  edited.train.iterations = 77;
  run_.save_config(edited);
  EXPECT_EQ(config_of(run_.root()).device, "cpu");
  EXPECT_EQ(config_of(run_.root(), {"device=cuda"}).device, "cuda");
  edited.model.channels = 32;
  edited.diffusion.steps = 10;
  run_.save_config(edited);
  for (const fs::path& path : {run_.root(), checkpoint}) {
    EXPECT_THAT(
        user_error([&] { config_of(path); }),
        AllOf(HasSubstr("config.yaml: contradicts "), HasSubstr("step-00000001"),
              HasSubstr("model.channels: 128 -> 32"), HasSubstr("diffusion.steps: 1000 -> 10")));
  }

  const fs::path alone = folder_ / "elsewhere" / "model";
  fs::create_directories(alone.parent_path());
  fs::rename(checkpoint, alone);
  overwrite(folder_ / "elsewhere" / "config.yaml", "seed: 5\n");  // of something else
  EXPECT_EQ(find_model(alone).checkpoint, alone);
  EXPECT_EQ(config_of(alone).model.channels, 128);
}

}  // namespace
}  // namespace cdm
