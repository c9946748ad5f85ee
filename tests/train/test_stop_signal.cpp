// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "cdm/run/stop_signal.h"

namespace cdm {
namespace {

// As Slurm does when it preempts a job. Without the class the first one would end this program.
TEST(StopSignal, TakesTwoAtOnceForOneRequest) {
  const StopSignal signals;
  EXPECT_EQ(StopSignal::stop_requested(), nullptr);
  std::raise(SIGTERM);
  ::usleep(20'000);
  std::raise(SIGTERM);
  EXPECT_STREQ(StopSignal::stop_requested(), "SIGTERM");
}

TEST(StopSignalDeathTest, EndsAtASecondRequest) {
  EXPECT_EXIT(
      {
        const StopSignal signals;
        std::raise(SIGTERM);
        ::usleep(1'100'000);
        std::raise(SIGTERM);
        ::_exit(0);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace cdm
