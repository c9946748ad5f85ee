// SPDX-License-Identifier: MIT
// Runs that are resumed after something happened to their files, or while they start up.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/run/checkpoint.h"
#include "messages.h"
#include "tiny_run.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

using test::Finished;
using test::mentions;
using test::TinyRun;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// The run of tiny.yaml, trained to its end, whose checkpoints are then lost in one way or another.
class LostCheckpoints : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(tiny_.train("tiny", "run").exit_code, 0); }

  /// Expects the run to be refused, with a message that mentions `parts`, and to stay as it is.
  template <class... Part>
  void expect_refused(const Part&... parts) const {
    const auto before = tiny_.contents();
    const Finished done = tiny_.train("tiny", "run");
    EXPECT_EQ(done.exit_code, 2) << done.err;
    EXPECT_THAT(done.err, mentions("error: run/checkpoints", parts...));
    EXPECT_TRUE(tiny_.contents() == before) << "something was written";
  }

  const TinyRun tiny_;
  const fs::path checkpoints_ = tiny_ / "run/checkpoints";
};

TEST_F(LostCheckpoints, AreNamedWhenALinkLeadsNowhere) {
  fs::rename(checkpoints_, tiny_ / "volume");
  fs::create_directory_symlink(tiny_ / "volume", checkpoints_);
  const Finished whole = tiny_.train("tiny", "run");
  EXPECT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_THAT(whole.err, HasSubstr("going on from step 20"));
  fs::rename(tiny_ / "volume", tiny_ / "unmounted");
  expect_refused("is a link to " + (tiny_ / "volume"), "--from-scratch");
}

TEST_F(LostCheckpoints, AreNamedWhenTheFolderIsEmptyOrGone) {
  fs::rename(checkpoints_, tiny_ / "elsewhere");
  expect_refused("step-00000020 was saved", "--from-scratch");
  fs::create_directory(checkpoints_);  // where a volume would be mounted
  expect_refused("step-00000020 was saved", "--from-scratch");
  fs::remove(tiny_ / "run/.lock");
  test::write_text(tiny_ / "run/.lock", "");
  expect_refused("metrics.jsonl goes to step 20", "--from-scratch");
  fs::remove(tiny_ / "run/config.yaml");
  expect_refused("metrics.jsonl goes to step 20", "no config.yaml", "--from-scratch");
}

TEST_F(LostCheckpoints, AreReplacedFromScratchAndTheOldFilesKept) {
  fs::rename(checkpoints_, tiny_ / "elsewhere");
  const std::string metrics = test::read_text(tiny_ / "run/metrics.jsonl");
  std::vector<std::string> words = TinyRun::arguments("tiny", "run");
  words.emplace_back("--from-scratch");
  const Finished done = tiny_.run("cdm-train", words);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("run/before-1"));
  EXPECT_EQ(test::read_text(tiny_ / "run/before-1/metrics.jsonl"), metrics);
  EXPECT_EQ(test::read_metrics(tiny_ / "run").size(), 6U);
  fs::create_directory(tiny_ / "whole");
  fs::rename(tiny_ / "elsewhere", tiny_ / "whole/checkpoints");
  test::expect_same_state(tiny_ / "run", tiny_ / "whole", 20);

  // Once more: the checkpoints are moved, too, and what was moved before stays.
  const Finished again = tiny_.run("cdm-train", words);
  EXPECT_EQ(again.exit_code, 0) << again.err;
  test::expect_same_state(tiny_ / "run/before-2", tiny_ / "whole", 20);
  EXPECT_EQ(test::read_text(tiny_ / "run/before-1/metrics.jsonl"), metrics);
}

TEST(Resume, BeginsAgainWhenStoppedBeforeTheFirstCheckpoint) {
  const TinyRun tiny;
  const std::vector<std::string> rare = {"train.checkpoint_every=1000000",
                                         "train.iterations=1000000000", "train.nll_every=0",
                                         "train.sample_every=0"};
  {
    test::Process first = tiny.start_training("tiny", "run", rare);
    test::wait_until([&] { return test::read_text(tiny / "run/metrics.jsonl").ends_with("}\n"); },
                     "metrics");
    first.send(SIGKILL);
    EXPECT_EQ(first.wait().exit_code, 128 + SIGKILL);
  }
  const Finished done = tiny.train("tiny", "run", {"train.checkpoint_every=7"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, mentions("warning: run: ", "before its first checkpoint"));
  ASSERT_EQ(tiny.train("tiny", "whole", {"train.checkpoint_every=7"}).exit_code, 0);
  test::expect_same_state(tiny / "run", tiny / "whole", 20);
}

TEST(Resume, GoesByTheConfigurationOfTheCheckpoint) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "run", {"train.iterations=10"}).exit_code, 0);
  const fs::path file = tiny / "run/config.yaml";
  const std::string text = test::read_text(file);
  const auto before = tiny.contents();
  fs::remove(file);
  const Finished other = tiny.train("tiny", "run", {"model.channels=32"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, mentions("run/checkpoints/step-00000010", "model.channels: 16 -> 32"));

  std::string edited = text;
  edited.replace(edited.find("channels: 16"), 12, "channels: 32");
  test::write_text(file, edited);
  const Finished by_hand = tiny.run("cdm-train", {"run/config.yaml"});
  EXPECT_EQ(by_hand.exit_code, 2);
  EXPECT_THAT(by_hand.err, mentions("run/checkpoints/step-00000010", "model.channels: 16 -> 32"));
  const Finished sampling = tiny.run("cdm-sample", {"run", "-n", "1", "--out", "a.npz"});
  EXPECT_EQ(sampling.exit_code, 2);
  EXPECT_THAT(sampling.err,
              mentions("run/config.yaml", "step-00000010", "model.channels: 16 -> 32"));
  test::write_text(file, text);
  EXPECT_TRUE(tiny.contents() == before) << "something was written";

  // The configuration that the run was started with goes on, whatever is in config.yaml.
  fs::remove(file);
  tiny.run_well("cdm-sample", {"run", "-n", "1", "--out", "a.npz"});
  test::write_text(file, edited);
  const Finished resumed = tiny.train("tiny", "run", {"train.iterations=12"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("going on from step 10"));
  EXPECT_EQ(load_config(file).model.channels, 16);

  fs::rename(tiny / "run/checkpoints/step-00000012", tiny / "alone");
  tiny.run_well("cdm-sample", {"alone", "-n", "1", "--out", "b.npz"});
}

TEST(Resume, IsMeantByTheConfigurationOfARun) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "run", {"train.iterations=10"}).exit_code, 0);
  const Finished resumed =
      tiny.run("cdm-train", {"run/config.yaml", "--set", "train.iterations=15"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(resumed.out, "run\n");
  EXPECT_THAT(resumed.err, mentions("run/config.yaml", "--run-dir", "going on from step 10"));
  EXPECT_FALSE(fs::exists(tiny / "runs"));
  const Finished elsewhere = tiny.run("cdm-train", {"run/config.yaml", "--run-dir", "other"});
  EXPECT_EQ(elsewhere.out, "other\n");
  EXPECT_THAT(elsewhere.err, Not(HasSubstr("going on")));

  test::write_text(tiny / "config.yaml", test::read_text(tiny / "tiny.yaml"));
  const Finished first = tiny.run("cdm-train", {"config.yaml"});
  EXPECT_EQ(first.out, "runs/config\n") << "no run is beside it";
}

/// Starts a training, sends `signal` while it waits for its configuration, and lets it go on.
Finished train_with_signal_at_start(const TinyRun& tiny, int signal) {
  const std::string pipe = tiny / "pipe.yaml";
  EXPECT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  test::Process training("cdm-train",
                         {"pipe.yaml", "--run-dir", "run", "--set", "train.checkpoint_every=0"},
                         {.folder = tiny.folder(), .environment = {"OMP_NUM_THREADS=1"}});
  int writer = -1;
  test::wait_until(
      [&] { return (writer = ::open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) >= 0; },
      "the configuration to be opened");
  training.send(signal);
  const std::string text = test::read_text(tiny / "tiny.yaml");
  // A process that the signal has ended reads nothing.
  const auto ignore = std::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(::write(writer, text.data(), text.size()), static_cast<::ssize_t>(text.size()));
  std::signal(SIGPIPE, ignore);
  ::close(writer);
  return training.wait();
}

TEST(SignalWhileStartingUp, SavesAtTheFirstStep) {
  const TinyRun tiny;
  const Finished done = train_with_signal_at_start(tiny, SIGUSR1);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(test::names_in(tiny / "run/checkpoints"),
              ElementsAre("step-00000001", "step-00000020"));
}

TEST(SignalWhileStartingUp, StopsBeforeTheFirstStepWithACheckpoint) {
  const TinyRun tiny;
  const Finished done = train_with_signal_at_start(tiny, SIGTERM);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("SIGTERM: saved step 0 of 20"));
  ASSERT_EQ(tiny.train("tiny", "run").exit_code, 0);
  ASSERT_EQ(tiny.train("tiny", "whole").exit_code, 0);
  test::expect_same_state(tiny / "run", tiny / "whole", 20);
}

TEST(Hangup, IsStillIgnoredUnderNohup) {
  const TinyRun tiny;
  test::ProcessOptions place;
  place.folder = tiny.folder();
  place.environment = {"OMP_NUM_THREADS=1"};
  test::Process training("/bin/sh",
                         {"-c", "trap '' HUP; exec " + std::string(CDM_BIN_DIR) +
                                    "/cdm-train tiny.yaml --run-dir run --set "
                                    "train.iterations=1000000000"},
                         place);
  test::wait_until([&] { return !test::newest_checkpoint(tiny / "run").empty(); }, "a checkpoint");
  training.send(SIGHUP);
  const std::string after = test::newest_checkpoint(tiny / "run");
  test::wait_until([&] { return test::newest_checkpoint(tiny / "run") > after; }, "another one");
  training.send(SIGTERM);
  EXPECT_THAT(training.wait().err, HasSubstr("SIGTERM: saved step "));
}

TEST(Resume, WorksInAFolderWhoseNameIsNotUtf8) {
  const TinyRun tiny;
  const std::string run = "caf\xe9";
  ASSERT_EQ(tiny.train("tiny", run, {"train.iterations=5"}).exit_code, 0);
  const Finished resumed = tiny.train("tiny", run);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("going on from step 5"));
  tiny.run_well("cdm-sample", {run, "-n", "2", "--out", "a.npz"});
  const auto settings = nlohmann::json::parse(test::read_text(tiny / "a.npz.json"));
  EXPECT_THAT(settings.at("checkpoint").get<std::string>(), HasSubstr("caf\xef\xbf\xbd"));
  tiny.run_well("cdm-eval", {"levels", run, "--out", "results"});
}

TEST(Resume, WorksWithNamesAsLongAsTheSystemAllows) {
  const TinyRun tiny;
  const std::string run(250, 'r');
  ASSERT_EQ(tiny.train("tiny", run, {"train.iterations=5"}).exit_code, 0);
  EXPECT_THAT(tiny.train("tiny", run).err, HasSubstr("going on from step 5"));
  const std::string out = std::string(246, 's') + ".npz";  // with .json, 255 bytes
  tiny.run_well("cdm-sample", {run, "-n", "2", "--out", out});
  EXPECT_TRUE(fs::exists(tiny / (out + ".json")));
  tiny.run_well("cdm-eval", {"levels", run, "--out", "results"});
  // The file for the settings would have too long a name: refused before the images are drawn.
  const Finished longer =
      tiny.run("cdm-sample", {run, "-n", "2", "--out", std::string(250, 's') + ".npz"});
  EXPECT_EQ(longer.exit_code, 1);
  EXPECT_THAT(longer.err, mentions("error: cannot write ", ".npz.json: File name too long"));
}

TEST(Resume, KeepsAConfigurationThatSomebodyWroteIntoTheFolder) {
  const TinyRun tiny;
  std::string text = "# mine\n" + test::read_text(tiny / "tiny.yaml");
  for (const char* const name : {"train.npz", "test.npz"}) {
    text.replace(text.find(name), std::string(name).size(), std::string("../") + name);
  }
  fs::create_directories(tiny / "new");
  test::write_text(tiny / "new/config.yaml", text);
  for (const char* const stage : {"begun", "resumed"}) {
    const Finished done = tiny.run("cdm-train", {"new/config.yaml", "--run-dir", "new"});
    EXPECT_EQ(done.exit_code, 0) << stage << done.err;
    EXPECT_EQ(done.err.find("config.given.yaml") != std::string::npos,
              std::string(stage) == "begun");
    EXPECT_EQ(test::read_text(tiny / "new/config.given.yaml"), text) << stage;
  }
  // A folder of checkpoints that are not ours makes no run of a folder.
  fs::create_directories(tiny / "other/checkpoints");
  test::write_text(tiny / "other/checkpoints/resnet.pth", "weights");
  test::write_text(tiny / "other/config.yaml", text);
  EXPECT_EQ(tiny.run("cdm-train", {"other/config.yaml"}).exit_code, 0);
  EXPECT_EQ(test::read_text(tiny / "other/config.yaml"), text);
}

}  // namespace
}  // namespace cdm
