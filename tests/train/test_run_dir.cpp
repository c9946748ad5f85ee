// SPDX-License-Identifier: MIT
// The folder of a run: checkpoints kept and passed over, one process at a time, what may change.
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include "cdm/core/file.h"
#include "cdm/core/log.h"
#include "cdm/device/random.h"
#include "cdm/run/run_dir.h"
#include "config/keys.h"
#include "equal_checkpoints.h"
#include "files.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::expect_equal;
using test::overwrite;
using test::user_error;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RunFolder : public test::FilesTest {
 protected:
  void save(std::int64_t step, std::int64_t keep = 0) const {
    const NamedTensors tensors = {{"w", at::full({2}, static_cast<double>(step))}};
    run_.save({step, 0, 1.0, tensors, tensors, tensors, tensors}, keep);
  }
  std::set<std::string> saved() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(run_.checkpoints())) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  void damage(const char* checkpoint) const {
    const fs::path file = run_.checkpoints() / checkpoint / "ema.safetensors";
    overwrite(file, read_file(file).substr(1));
  }

  RunDir run_{folder_ / "run"};
};

TEST_F(RunFolder, SavesTheConfigurationWhereThereIsNoFolderYet) {
  RunConfig config;
  config.seed = 5;
  EXPECT_FALSE(run_.has_config());
  run_.save_config(config);
  EXPECT_TRUE(run_.has_config());
  EXPECT_EQ(flatten(load_config(run_.config())), flatten(config));
}

TEST_F(RunFolder, KeepsTheNewestCheckpoints) {
  for (const std::int64_t step : {900, 1000, 1100}) save(step, 2);
  EXPECT_THAT(saved(), ElementsAre("step-00001000", "step-00001100"));
  for (const std::int64_t step : {1200, 1300}) save(step, 0);
  EXPECT_EQ(saved().size(), 4U) << "0 keeps all";
  save(100000000, 1);
  EXPECT_THAT(saved(), ElementsAre("step-100000000"));
}

TEST_F(RunFolder, TheNewestWholeCheckpointIsTaken) {
  EXPECT_FALSE(run_.newest_checkpoint().has_value());
  for (const std::int64_t step : {1, 2, 3}) save(step);
  EXPECT_EQ(run_.newest_checkpoint()->step, 3);

  damage("step-00000003");
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_.newest_checkpoint()->step, 2);
  const std::string warning = testing::internal::GetCapturedStderr();
  EXPECT_THAT(warning, AllOf(HasSubstr("warning: "), HasSubstr("step-00000003/ema.safetensors"),
                             HasSubstr("; trying an older checkpoint")));

  damage("step-00000002");
  damage("step-00000001");
  testing::internal::CaptureStderr();
  EXPECT_THAT(user_error([&] { run_.newest_checkpoint(); }),
              AllOf(HasSubstr(run_.checkpoints().string()),
                    HasSubstr("none of the 3 checkpoints can be read")));
  testing::internal::GetCapturedStderr();
}

TEST_F(RunFolder, KeepsDamagedCheckpointsUnderAnotherName) {
  for (const std::int64_t step : {10, 20, 30}) save(step);
  damage("step-00000020");
  damage("step-00000030");
  fs::create_directory(run_.checkpoints() / "step-00000020.damaged");  // of an earlier time
  fs::create_directory(run_.checkpoints() / "step-00000040.tmp-77");   // left by a killed process
  testing::internal::CaptureStderr();
  run_.clear_away(10);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("step-00000020: damaged, kept as step-00000020.damaged-2"),
                    HasSubstr("step-00000030: damaged, kept as step-00000030.damaged")));
  for (const std::int64_t step : {15, 20}) save(step, 2);
  EXPECT_THAT(saved(), ElementsAre("step-00000015", "step-00000020", "step-00000020.damaged",
                                   "step-00000020.damaged-2", "step-00000030.damaged"));
  EXPECT_EQ(run_.newest_checkpoint()->step, 20);
}

TEST_F(RunFolder, FindsTheNewestCheckpointBeforeAStep) {
  for (const std::int64_t step : {10, 20}) save(step);
  EXPECT_EQ(run_.newest_checkpoint(21)->step, 20);
  EXPECT_EQ(run_.newest_checkpoint(20)->step, 10);
  EXPECT_FALSE(run_.newest_checkpoint(10).has_value());
}

TEST_F(RunFolder, PassesOverACheckpointDamagedAnywhere) {
  for (const std::int64_t step : {1, 2}) save(step);
  const fs::path newest = run_.checkpoints() / "step-00000002";
  const TrainingState whole = read_checkpoint(newest);
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(newest)) {
    files.push_back(entry.path().filename().string());
  }
  std::sort(files.begin(), files.end());
  const at::Tensor dice = integers({4, Purpose::noise, 0}, 1000, std::int64_t{1} << 31);
  std::int64_t at = 0;
  const auto below = [&](std::size_t bound) {
    return static_cast<std::size_t>(dice[at++].item<std::int64_t>()) % bound;
  };
  for (int i = 0; i < 200; ++i) {
    const fs::path file = newest / files[below(files.size())];
    const std::string bytes = read_file(file);
    std::string damaged = bytes;
    const std::size_t place = below(bytes.size());
    if (i % 2 == 0) {
      damaged[place] = static_cast<char>(damaged[place] ^ (1 << below(8)));
    } else {
      damaged.resize(place);
    }
    overwrite(file, damaged);
    testing::internal::CaptureStderr();
    EXPECT_EQ(run_.newest_checkpoint()->step, 1) << file << " at " << place;
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(newest.string()));
    EXPECT_EQ(read_file(file), damaged) << "overwritten";
    overwrite(file, bytes);
  }
  expect_equal(read_checkpoint(newest), whole);
}

TEST_F(RunFolder, IsHeldByOneAtATime) {
  fs::create_directories(run_.root());
  const std::string refusal = run_.root().string() + ": another process is training in this folder";
  {
    const RunLock lock(run_);
    EXPECT_EQ(user_error([&] { RunLock second(run_); }), refusal);
    const RunDir other(folder_ / "other");
    fs::create_directories(other.root());
    const RunLock of_another(other);
  }
  EXPECT_EQ(user_error([&] { RunLock again(run_); }), "no UserError");
}

TEST_F(RunFolder, IsFreeWhenTheProcessThatHeldItIsKilled) {
  fs::create_directories(run_.root());
  int ready[2] = {};
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      const RunLock lock(run_);
      if (::write(ready[1], "x", 1) == 1) ::pause();
    } catch (...) {
    }
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(user_error([&] { RunLock second(run_); }), HasSubstr("another process"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(user_error([&] { RunLock second(run_); }), "no UserError");
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(RunFolder, ALockThatCannotBeMadeIsNamed) {
  try {
    RunLock lock(run_);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr((run_.root() / ".lock").string()));
  }
}

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
                                      "data.path",
                                      "data.test_path",
                                      "sample.sampler",
                                      "sample.steps",
                                      "sample.spacing",
                                      "sample.guidance",
                                      "sample.eta",
                                      "train.iterations",
                                      "train.micro_batch_size",
                                      "train.learning_rate",
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

}  // namespace
}  // namespace cdm
