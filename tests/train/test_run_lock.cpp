// SPDX-License-Identifier: MIT
// The lock of a run directory: one process at a time, and what the lock knows of checkpoints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "cdm/run/run_lock.h"
#include "run/lost_checkpoints.h"
#include "run_folder.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::overwrite;
using test::user_error;
using testing::HasSubstr;
using RunFolder = test::RunFolder;

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

TEST_F(RunFolder, ItsLockCanBeTakenByOthersOfTheGroup) {
  fs::create_directories(run_.root());
  const fs::path file = run_.root() / ".lock";
  const ::mode_t before = ::umask(0002);
  { const RunLock lock(run_); }
  ::umask(before);
  struct ::stat status = {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0664U);

  fs::permissions(file, fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
  test::as_nobody([&] {
    const RunLock lock(run_);
    lock.note_checkpoint("step-00000001");  // cannot be noted, which is no error
    EXPECT_EQ(noted_checkpoint(run_), "");
    EXPECT_THAT(user_error([&] { RunLock second(run_); }), HasSubstr("another process"));
  });
}

TEST_F(RunFolder, ItsLockNotesTheNewestCheckpoint) {
  fs::create_directories(run_.root());
  {
    const RunLock lock(run_);
    EXPECT_EQ(noted_checkpoint(run_), "");
    lock.note_checkpoint("step-1000000000");
    lock.note_checkpoint("step-00000002");
    EXPECT_EQ(noted_checkpoint(run_), "step-00000002");
  }
  const RunLock again(run_);
  EXPECT_EQ(noted_checkpoint(run_), "step-00000002");
  again.note_checkpoint("");
  EXPECT_EQ(noted_checkpoint(run_), "");
}

TEST_F(RunFolder, KnowsWhenItHasLostItsCheckpoints) {
  fs::create_directories(run_.root());
  const RunLock lock(run_);
  const auto refusal = [&] { return user_error([&] { refuse_lost_checkpoints(run_); }); };
  const std::string kFresh = "no UserError";
  EXPECT_EQ(refusal(), kFresh);
  RunConfig config;
  config.train.checkpoint_every = 10;
  run_.save_config(config);
  EXPECT_EQ(refusal(), kFresh);
  overwrite(run_.metrics(), "{\"step\":5}\n{\"step\":10}\n{\"st");
  EXPECT_EQ(refusal(), kFresh) << "stopped while the first checkpoint was written";
  overwrite(run_.metrics(), "{\"step\":5}\n{\"step\":11}\n{\"st");
  EXPECT_THAT(refusal(), test::error_in(run_.checkpoints(), "metrics.jsonl goes to step 11",
                                        "checkpoint_every is 10"));
  config.train.checkpoint_every = 0;
  run_.save_config(config);
  EXPECT_EQ(refusal(), kFresh) << "checkpoints only at the end";
  fs::remove(run_.config());
  EXPECT_THAT(refusal(), test::error_in(run_.checkpoints(), "no config.yaml"));
  fs::remove(run_.metrics());
  EXPECT_EQ(refusal(), kFresh);
  lock.note_checkpoint("step-00000020");
  EXPECT_THAT(refusal(), test::error_in(run_.checkpoints(), "step-00000020 was saved"));
}

}  // namespace
}  // namespace cdm
