// SPDX-License-Identifier: MIT
// The job scripts of tools/slurm, with stand-ins for Slurm's commands and for cdm-train.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "messages.h"
#include "process.h"
#include "scripts.h"
#include "tiny_run.h"

namespace cdm::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// What cdm-train writes last when it was asked to stop, and when it has finished
/// (src/run/trainer.cpp).
constexpr const char* kStopped = "SIGTERM: saved step 5 of 9; the same command goes on from there";
constexpr const char* kDone = "done: 9 steps in 1 s";

class Slurm : public ScriptsTest {
 protected:
  Slurm() {
    copy("tools/slurm");
    for (const char* name : {"scancel", "scontrol"}) {
      fake(name, concat("echo ", name, " \"$@\" >>calls"));
    }
    environment_ = {"SLURM_JOB_ID=7", "SLURM_JOB_NODELIST=node1", "SLURM_CPUS_PER_TASK=3"};
  }
  /// A training that ends with that last line of its log and that exit code, once the file `stop`
  /// is there.
  void training(const std::string& last_line, int code) const {
    fake("srun", concat(R"(echo srun "$@" "cpus=$SRUN_CPUS_PER_TASK" >>calls
while [[ ! -e stop ]]; do sleep 0.05; done
mkdir -p runs/a; echo ')",
                        last_line, "' >runs/a/log.txt; exit ", code));
  }
  void stop_at_once() const { write_text(folder_ / "stop", ""); }

  /// A job that runs, and has begun to train.
  std::unique_ptr<Process> start() const {
    std::vector<std::string> environment = {"PATH=" + folder_ / "bin"};
    environment.insert(environment.end(), environment_.begin(), environment_.end());
    auto job = std::make_unique<Process>(folder_ / "tools/slurm/one_gpu.sbatch",
                                         std::vector<std::string>{"a.yaml", "runs/a"},
                                         ProcessOptions{folder_.path().string(), environment});
    for (int i = 0; i < 200 && calls().empty(); ++i) ::usleep(50'000);
    return job;
  }
};

TEST_F(Slurm, EndsWhenTheTrainingHasFinished) {
  training(kDone, 0);
  stop_at_once();
  for (const char* script : {"one_gpu.sbatch", "one_node.sbatch", "nodes.sbatch"}) {
    remove("calls");
    const Finished done =
        call(concat("tools/slurm/", script), {"a.yaml", "runs/a", "--set", "seed=3"});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_EQ(calls(),
              "srun --kill-on-bad-exit=1 build/release/bin/cdm-train a.yaml --run-dir runs/a --set "
              "seed=3 cpus=3\n");
    EXPECT_THAT(done.err, mentions("job 7", "node1"));
  }
}

TEST_F(Slurm, GoesBackIntoTheQueueAtTheTimeLimit) {
  training(kStopped, 0);
  // Slurm passes the signal on, and the training stops.
  fake("scancel", "echo scancel \"$@\" >>calls; touch stop");
  const std::unique_ptr<Process> job = start();
  job->send(SIGUSR1);
  const Finished done = job->wait();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(calls(), HasSubstr("scancel --signal=TERM 7\nscontrol requeue 7\n"));
}

// A preemption with a grace time stops the processes and leaves the rest to the job.
TEST_F(Slurm, GoesBackIntoTheQueueWhenItsProcessesWereStopped) {
  training(kStopped, 0);
  stop_at_once();
  const Finished done = call("tools/slurm/one_gpu.sbatch", {"a.yaml", "runs/a"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(calls(), HasSubstr("scontrol requeue 7\n"));
}

// scancel, and a preemption without a grace time: Slurm puts the job back or not.
TEST_F(Slurm, LeavesTheQueueToSlurmWhereSlurmEndsTheJob) {
  training(kStopped, 0);
  const std::unique_ptr<Process> job = start();
  job->send(SIGTERM);
  ::usleep(200'000);
  stop_at_once();
  EXPECT_EQ(job->wait().exit_code, 0);
  EXPECT_THAT(calls(), Not(HasSubstr("scontrol")));
}

TEST_F(Slurm, EndsWithTheTrainingsError) {
  training(kStopped, 3);  // of an earlier call; this one failed before its first line
  stop_at_once();
  const Finished done = call("tools/slurm/one_gpu.sbatch", {"a.yaml", "runs/a"});
  EXPECT_EQ(done.exit_code, 3);
  EXPECT_THAT(calls(), Not(HasSubstr("scontrol")));
}

TEST_F(Slurm, SaysHowItIsCalled) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{}, {"a.yaml"}, {"a.yaml", "--run-dir"}}) {
    const Finished done = call("tools/slurm/one_gpu.sbatch", words);
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_THAT(done.err, HasSubstr("usage: sbatch"));
  }
  environment_.clear();
  EXPECT_EQ(call("tools/slurm/train.sh", {"a.yaml", "runs/a"}).exit_code, 2) << "outside a job";
}

// What the scripts look for is what cdm-train writes.
TEST(SlurmLines, AreThoseOfTheProgram) {
  const TinyRun tiny;
  Process training = tiny.start_training("tiny", "run", {"train.iterations=1000000000"});
  wait_until([&] { return read_text(tiny / "run/metrics.jsonl").ends_with("}\n"); }, "metrics");
  training.send(SIGTERM);
  EXPECT_EQ(training.wait().exit_code, 0);
  EXPECT_TRUE(read_text(tiny / "run/log.txt").ends_with("; the same command goes on from there\n"));
  const std::string step = read_text(tiny / "run/log.txt");
  ASSERT_EQ(tiny.train("tiny", "run", {"train.iterations=1"}).exit_code, 0);
  EXPECT_THAT(read_text(tiny / "run/log.txt").substr(step.size()), HasSubstr("done: "));
}

}  // namespace
}  // namespace cdm::test
