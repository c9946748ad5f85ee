// SPDX-License-Identifier: MIT
// The folder of a run: checkpoints kept and passed over, what is moved aside, what must be
// writable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "cdm/core/file.h"
#include "cdm/core/log.h"
#include "cdm/device/random.h"
#include "cdm/run/run_dir.h"
#include "equal_checkpoints.h"
#include "run_folder.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::expect_equal;
using test::overwrite;
using test::user_error;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using RunFolder = test::RunFolder;

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

TEST_F(RunFolder, StopsAtACheckpointThatItMayNotRead) {
  for (const std::int64_t step : {10, 20}) save(step);
  const fs::path newest = run_.checkpoints() / "step-00000020";
  for (const fs::path& closed :
       {newest / "ema.safetensors", newest / "state.json", newest, run_.checkpoints()}) {
    const fs::perms open = fs::status(closed).permissions();
    fs::permissions(closed, fs::perms::none);
    test::as_nobody([&] {
      const std::string message = user_error([&] { run_.newest_checkpoint(); });
      EXPECT_THAT(message, HasSubstr("Permission denied")) << closed;
      EXPECT_THAT(message, HasSubstr(closed.string()));
    });
    fs::permissions(closed, open);
  }
  EXPECT_EQ(run_.newest_checkpoint()->step, 20);
}

TEST_F(RunFolder, StopsAtACheckpointOfAnotherFormatOrName) {
  for (const std::int64_t step : {10, 20}) save(step);
  const fs::path newest = run_.checkpoints() / "step-00000020";
  std::string state = read_file(newest / "state.json");
  overwrite(newest / "state.json", state.replace(state.find("\"format\": 2"), 11, "\"format\": 7"));
  EXPECT_THAT(user_error([&] { run_.newest_checkpoint(); }),
              test::error_in(newest / "state.json", "format 7"));
  EXPECT_THAT(saved(), ElementsAre("step-00000010", "step-00000020"));
  fs::remove_all(newest);
  fs::rename(run_.checkpoints() / "step-00000010", newest);
  EXPECT_THAT(user_error([&] { run_.newest_checkpoint(); }),
              test::error_in(newest, "step 10", "step-00000010"));
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

TEST_F(RunFolder, IsSetAsideWhole) {
  EXPECT_EQ(run_.set_aside(), fs::path());
  run_.save_config(RunConfig());
  save(7);
  overwrite(run_.metrics(), "{}\n");
  overwrite(run_.root() / "notes.txt", "mine");
  const fs::path first = run_.set_aside();
  EXPECT_EQ(first, run_.root() / "before-1");
  EXPECT_EQ(RunDir(first).newest_checkpoint()->step, 7);
  EXPECT_TRUE(RunDir(first).has_config());
  EXPECT_EQ(read_file(RunDir(first).metrics()), "{}\n");
  EXPECT_FALSE(run_.newest_checkpoint().has_value());
  EXPECT_FALSE(run_.has_config() || fs::exists(run_.metrics()));
  EXPECT_TRUE(fs::exists(run_.root() / "notes.txt")) << "not a file of the run";
  fs::create_symlink("/nowhere/else", run_.checkpoints());
  EXPECT_EQ(run_.set_aside(), run_.root() / "before-2");
  EXPECT_TRUE(fs::is_symlink(run_.root() / "before-2" / "checkpoints"));
}

TEST_F(RunFolder, WritesNothingWhereSomethingCannotBeWritten) {
  fs::create_directories(run_.root());
  run_.require_writable();
  EXPECT_TRUE(fs::is_empty(run_.root()));
  fs::create_directories(run_.checkpoints());
  overwrite(run_.metrics(), "{}\n");
  fs::permissions(run_.metrics(), fs::perms::owner_read | fs::perms::others_read);
  fs::permissions(run_.root(), fs::perms::all);
  fs::permissions(run_.checkpoints(), fs::perms::all);
  const auto failure = [&] {
    std::string message = "no error";
    test::as_nobody([&] {
      try {
        run_.require_writable();
      } catch (const std::runtime_error& error) {
        message = error.what();
      }
    });
    return message;
  };
  EXPECT_THAT(failure(), AllOf(HasSubstr(run_.metrics().string()), HasSubstr("Permission denied")));
  fs::permissions(run_.metrics(), fs::perms::all);
  EXPECT_EQ(failure(), "no error");
  fs::permissions(run_.checkpoints(), fs::perms::owner_read | fs::perms::others_read);
  EXPECT_THAT(failure(),
              AllOf(HasSubstr(run_.checkpoints().string()), HasSubstr("Permission denied")));
  fs::permissions(run_.checkpoints(), fs::perms::all);
  EXPECT_EQ(read_file(run_.metrics()), "{}\n");
  fs::create_symlink("/nowhere/else", run_.tensorboard());
  EXPECT_THAT(failure(), AllOf(HasSubstr(run_.tensorboard().string()), HasSubstr("/nowhere/else")));
}

}  // namespace
}  // namespace cdm
