// SPDX-License-Identifier: MIT
// Progress: rate and time left, plain lines where there is no terminal, and a bar on one.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cdm/core/log.h"
#include "cdm/core/progress.h"
#include "messages.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ProgressTest : public testing::Test {
 protected:
  Progress make(std::int64_t total, std::int64_t done = 0) {
    return {"training", total, "steps", done, [this] { return now_; }};
  }

  double now_ = 1000.0;
};

TEST_F(ProgressTest, RateAndTimeLeftAreOfThisProcess) {
  Progress progress = make(100, 40);  // 40 were done before
  EXPECT_EQ(progress.rate(), 0.0);
  EXPECT_TRUE(std::isinf(progress.seconds_left()));
  now_ += 5.0;
  EXPECT_EQ(progress.elapsed_seconds(), 5.0);
  EXPECT_TRUE(std::isinf(progress.seconds_left()));
  progress.update(50);
  EXPECT_EQ(progress.rate(), 2.0);
  EXPECT_EQ(progress.seconds_left(), 25.0);
  now_ += 25.0;
  progress.update(100);
  EXPECT_EQ(progress.rate(), 2.0);
  EXPECT_EQ(progress.seconds_left(), 0.0);
  progress.update(110);
  EXPECT_EQ(progress.seconds_left(), 0.0) << "beyond its total";
}

TEST_F(ProgressTest, AnUnknownTotalIsNeverDone) {
  Progress progress = make(0);
  now_ += 1.0;
  progress.update(3);
  EXPECT_EQ(progress.rate(), 3.0);
  EXPECT_TRUE(std::isinf(progress.seconds_left()));
}

TEST_F(ProgressTest, LeavesNoMoreTimeThanItsLimit) {
  Progress progress = make(100);
  progress.end_after(20.0);
  EXPECT_EQ(progress.seconds_left(), 20.0);
  now_ += 10.0;
  progress.update(10);  // 90 s to go at this rate
  EXPECT_EQ(progress.seconds_left(), 10.0);
  progress.update(90);
  EXPECT_NEAR(progress.seconds_left(), 10.0 / 9.0, 1e-12);
  now_ += 20.0;
  EXPECT_EQ(progress.seconds_left(), 0.0) << "beyond its limit";
}

TEST_F(ProgressTest, TakesTheMachinesClock) {
  Progress progress("waiting", 1, "times");
  ::usleep(20000);
  EXPECT_GT(progress.elapsed_seconds(), 0.015);
  EXPECT_LT(progress.elapsed_seconds(), 60.0);
}

TEST_F(ProgressTest, WithoutATerminalShowsALineNowAndThen) {
  testing::internal::CaptureStderr();
  {
    Progress progress = make(100);
    for (int step = 1; step <= 40; ++step) {
      now_ += 1.0;
      progress.update(step, step == 15 ? "loss 0.5" : "");
    }
    now_ += 1.0;
    progress.update(100);
  }
  const std::string shown = testing::internal::GetCapturedStderr();
  const std::size_t end = shown.find('\n') + 1;
  EXPECT_THAT(shown.substr(0, end),
              test::mentions("training", "15/100 steps", "1.00/s", "1 min 25 s left", "loss 0.5"));
  EXPECT_THAT(shown.substr(end), AllOf(test::mentions("30/100 steps", "1 min 10 s left"),
                                       Not(HasSubstr("loss")), EndsWith("\n")));
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 2) << shown;
}

TEST_F(ProgressTest, AnUnknownTotalHasNoTimeLeft) {
  testing::internal::CaptureStderr();
  Progress progress = make(0);
  now_ += 20.0;
  progress.update(1000);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(test::mentions("training", "1000 steps", "50/s"), Not(HasSubstr("left"))));
}

/// A terminal in place of stderr, whose output is kept.
class Terminal {
 public:
  Terminal() : screen_(::posix_openpt(O_RDWR | O_NOCTTY)), before_(::dup(STDERR_FILENO)) {
    EXPECT_EQ(::grantpt(screen_), 0);
    EXPECT_EQ(::unlockpt(screen_), 0);
    const int device = ::open(::ptsname(screen_), O_RDWR | O_NOCTTY);
    std::fflush(stderr);
    ::dup2(device, STDERR_FILENO);
    ::close(device);
  }
  ~Terminal() {
    std::fflush(stderr);
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    ::close(screen_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// What came since the last call, which must be something. The kernel hands it over bit by bit,
  /// in its own time.
  std::string shown() const {
    constexpr int kFirst = 5000;  // milliseconds
    constexpr int kRest = 100;
    std::string text;
    pollfd screen = {screen_, POLLIN, 0};
    while (::poll(&screen, 1, text.empty() ? kFirst : kRest) > 0) {
      char part[4096];
      const ssize_t size = ::read(screen_, part, sizeof part);
      if (size <= 0) break;
      text.append(part, static_cast<std::size_t>(size));
    }
    return text;
  }

 private:
  int screen_, before_;
};

constexpr const char* kErase = "\r\033[K";

TEST_F(ProgressTest, OnATerminalDrawsABarBelowTheLines) {
  const Terminal terminal;
  {
    Progress progress = make(10);
    now_ += 2.0;
    progress.update(5, "loss 0.5");
    EXPECT_THAT(terminal.shown(), AllOf(StartsWith(kErase),
                                        test::mentions("[############............]", "5/10 steps",
                                                       "2 s left", "loss 0.5"),
                                        Not(HasSubstr("\n"))));
    // Too soon for another drawing; what comes next is the line, and the bar below it.
    now_ += 0.01;
    progress.update(6);
    log_info("a line");
    EXPECT_THAT(terminal.shown(), AllOf(StartsWith(std::string(kErase) + "a line\r\n" + kErase),
                                        HasSubstr("] 5/10 steps"), Not(HasSubstr("6/10"))));
    progress.update(10);  // the end is always shown
    EXPECT_THAT(terminal.shown(), HasSubstr("[########################] 10/10 steps"));
  }
  EXPECT_EQ(terminal.shown(), kErase) << "the bar is gone";
  log_info("after");
  EXPECT_EQ(terminal.shown(), "after\r\n");
}

}  // namespace
}  // namespace cdm
