// SPDX-License-Identifier: MIT
// What every program has in common: help and version.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tiny_run.h"

namespace cdm {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

/// Every program of this build.
std::vector<std::string> programs() {
  std::vector<std::string> found;
  for (const std::string& name : test::names_in(CDM_BIN_DIR)) {
    if (name.starts_with("cdm-")) found.push_back(name);
  }
  return found;
}

TEST(Programs, AreAllThere) {
  for (const char* name : {"cdm-bench", "cdm-convert", "cdm-nll", "cdm-sample", "cdm-train"}) {
    EXPECT_THAT(programs(), testing::Contains(name));
  }
}

TEST(Programs, TellTheirVersion) {
  for (const std::string& name : programs()) {
    const test::Finished done = test::run(name, {"--version"});
    EXPECT_EQ(done.exit_code, 0) << name;
    EXPECT_THAT(done.out, testing::MatchesRegex("cdm [0-9.]+\nrevision .+\nLibTorch 2\\.[0-9.]+\n"
                                                "CUDA (none|[0-9].*)\n"))
        << name;
    EXPECT_EQ(done.err, "") << name;
  }
}

TEST(Programs, ExplainThemselves) {
  for (const std::string& name : programs()) {
    const test::Finished done = test::run(name, {"--help"});
    EXPECT_EQ(done.exit_code, 0) << name;
    EXPECT_EQ(done.err, "") << name;
    EXPECT_THAT(done.out, HasSubstr("Usage: " + name + " [OPTIONS]"));
    EXPECT_THAT(done.out, HasSubstr("\nExample:\n  " + name + " "));
    EXPECT_THAT(done.out, HasSubstr("--version"));
    EXPECT_THAT(done.out, EndsWith("\n"));
  }
}

TEST(Programs, ShowAnExampleOfEachSubcommand) {
  for (const std::string name : {"levels", "denoise", "curves", "toy", "fid", "agreement"}) {
    const std::string out = test::run_well("cdm-eval", {name, "--help"});
    EXPECT_THAT(out, HasSubstr("\nExample:\n  cdm-eval " + name + " ")) << name;
  }
}

struct Help {
  const char* program;
  std::vector<const char*> texts;  // options, and their defaults
};

TEST(Programs, NameEveryOptionWithItsDefault) {
  const std::vector<const char*> model = {"RUN_OR_CHECKPOINT",
                                          "--device",
                                          "--precision",
                                          "--weights",
                                          "ema (the first moving average, default)",
                                          "--set"};
  std::vector<Help> helps = {
      {"cdm-train",
       {"CONFIG", "--config", "--run-dir", "default: runs/ and the configuration's name", "--set",
        "--device", "--dry-run", "--help-config", "--markdown"}},
      {"cdm-sample",
       {"-n,--count", "=64", "--out", "--grid", "--zoom", "--raw", "--sampler", "--steps",
        "--spacing", "--eta", "--trajectory", "--guidance", "--class", "--seed", "--first-image",
        "--batch", "--init-noise", "--step-noise", "default: the configuration's"}},
      {"cdm-nll",
       {"--data", "--split", "=test", "--limit", "--out", "--level", "--dequantize",
        "data.dequantize", "--draws", "--seed", "--batch", "=256", "--gaussian"}},
      {"cdm-eval", {"levels", "denoise", "curves", "toy", "fid", "agreement"}},
      {"cdm-bench",
       {"CONFIG", "--set", "--device", "--what", "--batch", "--repeats", "--image-size",
        "--channels", "--json", "default: train.batch_size"}}};
  for (Help& help : helps) {
    const std::string program = help.program;
    if (program == "cdm-sample" || program == "cdm-nll") {
      help.texts.insert(help.texts.end(), model.begin(), model.end());
    }
    const std::string out = test::run_well(program, {"--help"});
    for (const char* text : help.texts) EXPECT_THAT(out, HasSubstr(text)) << program;
  }
}

}  // namespace
}  // namespace cdm
