// SPDX-License-Identifier: MIT
// cdm-train in several processes.
#include <ATen/ops/allclose.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/run/checkpoint.h"
#include "messages.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using test::Finished;
using test::TinyRun;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::vector<std::string> kLogEveryStep = {"train.log_every=1", "data.horizontal_flip=true",
                                                "data.dequantize=uniform",
                                                "train.micro_batch_size=1"};

void expect_close(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(at::allclose(a[i].second, b[i].second, 1e-3, 1e-5)) << a[i].first;
  }
}

void wait_for_step(const std::string& run, std::int64_t step) {
  test::wait_until(
      [&] {
        return test::read_text(run + "/metrics.jsonl").find(concat("\"step\":", step)) !=
               std::string::npos;
      },
      "a step");
}

class CdmTrainGroup : public ::testing::TestWithParam<std::string> {};

TEST_P(CdmTrainGroup, LearnsWhatOneProcessLearns) {
  const TinyRun tiny;
  const std::string config = GetParam();
  ASSERT_EQ(tiny.train(config, "one", kLogEveryStep).exit_code, 0);
  const auto expected = test::read_metrics(tiny / "one");
  for (const int size : test::kGroupSizes) {
    const std::string run = "of" + std::to_string(size);
    const Finished first =
        tiny.run_group(size, "cdm-train", TinyRun::arguments(config, run, kLogEveryStep));
    ASSERT_EQ(first.exit_code, 0) << first.err;
    EXPECT_EQ(first.out, run + "\n");
    EXPECT_THAT(first.err, HasSubstr(", in " + std::to_string(size) + " processes"));

    const auto found = test::read_metrics(tiny / run);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      for (const char* name : {"loss", "ce", "mse", "accuracy", "gradient_norm", "learning_rate",
                               "test_bits_per_dim"}) {
        ASSERT_EQ(found[i].contains(name), expected[i].contains(name));
        if (!found[i].contains(name)) continue;
        const double value = expected[i][name];
        EXPECT_NEAR(found[i][name], value, 1e-4 * std::abs(value)) << name << " of line " << i;
      }
    }
    const TrainingState a = read_checkpoint(tiny / "one/checkpoints/step-00000020");
    const TrainingState b = read_checkpoint(tiny / run + "/checkpoints/step-00000020");
    expect_close(a.model, b.model);
    expect_close(a.ema, b.ema);
  }
}

INSTANTIATE_TEST_SUITE_P(Configurations, CdmTrainGroup, ::testing::Values("tiny", "unet"));

TEST(CdmTrainGroup, GoesOnInAnotherNumberOfProcesses) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "one").exit_code, 0);
  ASSERT_EQ(
      tiny.run_group(3, "cdm-train", TinyRun::arguments("tiny", "run", {"train.iterations=10"}))
          .exit_code,
      0);
  ASSERT_EQ(
      tiny.run_group(2, "cdm-train", TinyRun::arguments("tiny", "run", {"train.iterations=15"}))
          .exit_code,
      0);
  const Finished last = tiny.train("tiny", "run");
  ASSERT_EQ(last.exit_code, 0);
  EXPECT_THAT(last.err, HasSubstr("going on from step 15"));
  const TrainingState a = read_checkpoint(tiny / "one/checkpoints/step-00000020");
  const TrainingState b = read_checkpoint(tiny / "run/checkpoints/step-00000020");
  expect_close(a.model, b.model);
  expect_close(a.exp_avg, b.exp_avg);
}

TEST(CdmTrainGroup, EndsWithinAMinuteOfOneOfItsProcesses) {
  const TinyRun tiny;
  for (const std::size_t victim : {0, 1}) {
    const std::string run = "run" + std::to_string(victim);
    auto group = tiny.start_group(
        2, "cdm-train",
        TinyRun::arguments("plain", run, {"train.iterations=1000000", "train.log_every=1"}));
    wait_for_step(tiny / run, 3);
    group[victim]->send(SIGKILL);
    const auto begin = std::chrono::steady_clock::now();
    const Finished other = group[1 - victim]->wait();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::minutes(1));
    EXPECT_EQ(other.exit_code, 1);
    EXPECT_THAT(other.err, HasSubstr("another process is gone"));
    EXPECT_EQ(group[victim]->wait().exit_code, 128 + SIGKILL);
  }
}

TEST(CdmTrainGroup, StopsTogetherAtASignalToAnyOne) {
  const TinyRun tiny;
  auto group = tiny.start_group(
      2, "cdm-train",
      TinyRun::arguments("plain", "run", {"train.iterations=1000000", "train.log_every=1"}));
  wait_for_step(tiny / "run", 3);
  group[1]->send(SIGTERM);
  const Finished second = group[1]->wait();
  const Finished first = group[0]->wait();
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(first.err, test::mentions("another process", "saved step "));
  EXPECT_EQ(second.err, "");
  EXPECT_FALSE(test::names_in(tiny / "run/checkpoints").empty());
}

TEST(CdmTrainGroup, RefusesWhatDoesNotFitTogether) {
  const TinyRun tiny;
  const auto few =
      tiny.start_group(3, "cdm-train", TinyRun::arguments("tiny", "run", {"train.batch_size=2"}));
  for (const auto& process : few) {
    const Finished done = process->wait();
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_THAT(done.err, test::mentions("train.batch_size = 2", "at least 3"));
  }
  EXPECT_FALSE(std::filesystem::exists(tiny / "run"));
}

}  // namespace
}  // namespace cdm
