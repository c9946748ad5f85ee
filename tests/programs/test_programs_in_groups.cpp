// SPDX-License-Identifier: MIT
// cdm-sample and cdm-nll in several processes: the very bytes that one process writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "messages.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using test::Finished;
using test::read_text;
using test::TinyRun;

TEST(ProgramsInGroups, DrawTheVeryImagesOfOneProcess) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train("unet", "run").exit_code, 0);
  const auto words = [&](const std::string& name) -> std::vector<std::string> {
    return {"run",   "-n",          "13",    "--batch",     "3",      "--sampler",  "ddpm",
            "--out", name + ".npz", "--raw", name + ".npy", "--grid", name + ".png"};
  };
  tiny.run_well("cdm-sample", words("one"));
  for (const int size : test::kGroupSizes) {
    const std::string name = "of" + std::to_string(size);
    const Finished first = tiny.run_group(size, "cdm-sample", words(name));
    ASSERT_EQ(first.exit_code, 0) << first.err;
    for (const std::string ending : {".npz", ".npy", ".png", ".npz.json"}) {
      const std::string expected = read_text(tiny / ("one" + ending));
      EXPECT_FALSE(expected.empty());
      EXPECT_EQ(read_text(tiny / (name + ending)), expected) << name << ending;
    }
  }
}

TEST(ProgramsInGroups, GiveTheVeryScoresOfOneProcess) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train("unet", "run", {"data.dequantize=uniform"}).exit_code, 0);
  const auto words = [](const std::string& name) -> std::vector<std::string> {
    return {"run", "--batch", "5", "--draws", "2", "--limit", "31", "--out", name};
  };
  const std::string printed = tiny.run_well("cdm-nll", words("one.csv"));
  for (const int size : test::kGroupSizes) {
    const Finished first = tiny.run_group(size, "cdm-nll", words("group.csv"));
    ASSERT_EQ(first.exit_code, 0) << first.err;
    EXPECT_EQ(first.out, printed);
    EXPECT_EQ(read_text(tiny / "group.csv"), read_text(tiny / "one.csv"));
  }
}

TEST(ProgramsInGroups, RefuseATrajectory) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train("plain", "run", {"train.iterations=1"}).exit_code, 0);
  for (const auto& process :
       tiny.start_group(2, "cdm-sample", {"run", "--trajectory", "steps.npz"})) {
    const Finished done = process->wait();
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_THAT(done.err, test::mentions("--trajectory", "single process"));
  }
}

}  // namespace
}  // namespace cdm
