// SPDX-License-Identifier: MIT
// Runs that are killed, or whose disk is full or cannot be written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cdm/run/run_dir.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using test::Finished;
using test::Process;
using test::TinyRun;
using ::testing::HasSubstr;
using ::testing::Not;

/// As many as the environment asks for (docs/reliability.md), else few.
int kills() {
  constexpr int kFew = 6;
  const char* const asked = std::getenv("CDM_TEST_KILLS");
  return asked == nullptr ? kFew : std::atoi(asked);
}

TEST(Faults, AKilledRunGoesOnAndEndsAsIfItHadNot) {
  const TinyRun tiny;
  // Most of the time goes into checkpoints, so that many kills fall into the writing of one.
  const std::vector<std::string> settings = {"train.iterations=60", "train.checkpoint_every=1",
                                             "train.keep_checkpoints=2", "train.log_every=1",
                                             "train.sample_every=0"};
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(tiny.train("tiny", "whole", settings).exit_code, 0);
  const double whole =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  std::mt19937 dice(1);
  std::uniform_real_distribution<double> moment(0.0, 1.1 * whole);
  const RunDir run(tiny / "run");
  std::int64_t reached = 0;
  int ended = 0;
  for (int kill = 0; kill < kills(); ++kill) {
    Process training = tiny.start_training("tiny", "run", settings);
    std::this_thread::sleep_for(std::chrono::duration<double>(moment(dice)));
    training.send(SIGKILL);
    const Finished killed = training.wait();
    ASSERT_TRUE(killed.exit_code == 0 || killed.exit_code == 128 + SIGKILL) << killed.err;
    EXPECT_THAT(killed.err, Not(HasSubstr("damaged")));

    const std::optional<TrainingState> newest = run.newest_checkpoint();
    const std::int64_t step = newest ? newest->step : 0;
    EXPECT_GE(step, reached) << "kill " << kill;
    // No step that was logged is lost, but the one whose checkpoint was being written.
    std::int64_t logged = 0;
    std::istringstream lines(test::read_text(run.metrics()));
    for (std::string line; std::getline(lines, line);) {
      const auto entry = nlohmann::json::parse(line, nullptr, false);
      if (entry.is_object()) logged = entry.at("step");
    }
    EXPECT_GE(step, logged - 1) << "kill " << kill;
    reached = step;
    if (killed.exit_code == 0 || reached == 60) {
      test::expect_same_state(tiny / "whole", tiny / "run", 60);
      std::filesystem::remove_all(run.root());
      reached = 0;
      ++ended;
    }
  }
  ASSERT_EQ(tiny.train("tiny", "run", settings).exit_code, 0);
  test::expect_same_state(tiny / "whole", tiny / "run", 60);
  EXPECT_EQ(test::names_in(run.checkpoints()).size(), 2U) << "something half-written was left";
  std::vector<double> expected, found;
  for (const auto& line : test::read_metrics(tiny / "whole")) {
    if (line.contains("loss")) expected.push_back(line.at("loss"));
  }
  for (const auto& line : test::read_metrics(tiny / "run")) {
    if (line.contains("loss")) found.push_back(line.at("loss"));
  }
  EXPECT_EQ(found, expected);
  std::cout << kills() << " kills, " << ended << " runs ended between them\n";
}

TEST(Faults, AFileSystemThatCanDoLittleIsWarnedOfAndTrainedOn) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "whole").exit_code, 0);
  test::ProcessOptions options;
  options.folder = tiny.folder();
  options.environment = {"OMP_NUM_THREADS=1", std::string("LD_PRELOAD=") + CDM_PLAIN_DISK};
  const Finished done = test::run("cdm-train", TinyRun::arguments("tiny", "run"), options);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("warning: run: the file system has no locks"));
  test::expect_same_state(tiny / "whole", tiny / "run", 20);
}

/// Runs a shell script in the folder of `tiny`; $BIN is the folder of the programs.
Finished run_script(const TinyRun& tiny, const std::string& script) {
  test::ProcessOptions options;
  options.folder = tiny.folder();
  options.environment = {"OMP_NUM_THREADS=1", std::string("BIN=") + CDM_BIN_DIR};
  return test::run("/bin/sh", {"-c", script}, options);
}

TEST(Faults, AFileBeyondTheLimitOnSizesEndsARunWithOneLine) {
  const TinyRun tiny;
  const Finished done = run_script(
      tiny, "ulimit -f 16; exec $BIN/cdm-train tiny.yaml --run-dir run --set model.channels=64");
  EXPECT_EQ(done.exit_code, 1) << done.err;
  EXPECT_THAT(done.err, HasSubstr("error: cannot write run/checkpoints/step-00000005"));
  EXPECT_THAT(done.err, ::testing::EndsWith(": File too large\n"));
  EXPECT_TRUE(test::names_in(tiny / "run/checkpoints").empty());
}

TEST(Faults, AFileThatDoesNotFitIntoMemoryEndsAProgramWithOneLine) {
  const TinyRun tiny;
  test::write_text(tiny / "large.npz", "");
  std::filesystem::resize_file(tiny / "large.npz", std::uintmax_t{3} << 30U);
  const Finished done = run_script(
      tiny, "ulimit -v 2000000; exec $BIN/cdm-train tiny.yaml --set data.path=large.npz");
  EXPECT_EQ(done.exit_code, 1) << done.err;
  EXPECT_THAT(done.err, ::testing::StartsWith("error: out of memory: "));
  EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
}

/// A shell script in a mount name space of its own, in the folder of `tiny`; CDM_TRAIN is the
/// program.
class InOwnMounts : public ::testing::Test {
 protected:
  void SetUp() override {
    if (run("true").exit_code != 0) GTEST_SKIP() << "no mount name spaces here";
  }

  Finished run(const std::string& script) const {
    test::ProcessOptions options;
    options.folder = tiny_.folder();
    options.environment = {
        "OMP_NUM_THREADS=1",
        "CDM_TRAIN=" + (std::filesystem::path(CDM_BIN_DIR) / "cdm-train").string()};
    return test::run(
        "/usr/bin/unshare",
        {"--user", "--map-root-user", "--mount", "/bin/sh", "-c",
         "mkdir -p disk && mount -t tmpfs -o size=100k tmpfs disk && { " + script + "; }"},
        options);
  }

  TinyRun tiny_;
};

TEST_F(InOwnMounts, AFullDiskEndsARunThatGoesOnOnceThereIsRoom) {
  const Finished done =
      run("$CDM_TRAIN tiny.yaml --run-dir disk/run --set train.keep_checkpoints=0 --set "
          "train.checkpoint_every=1 --set train.sample_every=0 --set train.iterations=40; echo "
          "first $?; "
          "ls disk/run/checkpoints; mount -o remount,size=50m disk; "
          "$CDM_TRAIN tiny.yaml --run-dir disk/run --set train.keep_checkpoints=0 --set "
          "train.checkpoint_every=1 --set train.sample_every=0 --set train.iterations=40; echo "
          "second $?; "
          "cp -r disk/run kept");
  EXPECT_THAT(done.out, HasSubstr("first 1\n"));
  EXPECT_THAT(done.out, Not(HasSubstr("tmp")));
  EXPECT_THAT(done.err, HasSubstr("No space left on device"));
  EXPECT_THAT(done.out, HasSubstr("second 0\n"));
  EXPECT_THAT(done.err, HasSubstr("going on from step "));
  EXPECT_THAT(done.err, Not(HasSubstr("damaged")));
  ASSERT_EQ(tiny_.train("tiny", "whole", {"train.iterations=40", "train.sample_every=0"}).exit_code,
            0);
  test::expect_same_state(tiny_ / "whole", tiny_ / "kept", 40);
}

TEST_F(InOwnMounts, AReadOnlyFolderIsRefusedBeforeTheFirstStep) {
  const Finished done =
      run("mount -o remount,ro disk; $CDM_TRAIN tiny.yaml --run-dir disk/run; echo new $?; "
          "mount -o remount,rw,size=50m disk; $CDM_TRAIN tiny.yaml --run-dir disk/run --set "
          "train.iterations=10 2>/dev/null; echo made $?; mount -o remount,ro disk; "
          "$CDM_TRAIN tiny.yaml --run-dir disk/run; echo old $?");
  EXPECT_THAT(done.out, HasSubstr("new 1\n"));
  EXPECT_THAT(done.out, HasSubstr("made 0\n"));
  EXPECT_THAT(done.out, HasSubstr("old 1\n"));
  EXPECT_THAT(done.err, HasSubstr("Read-only file system"));
  EXPECT_THAT(done.err, HasSubstr("disk/run"));
  EXPECT_THAT(done.err, Not(HasSubstr("step 15")));
}

}  // namespace
}  // namespace cdm
