// SPDX-License-Identifier: MIT
// cdm-train --dry-run: it refuses what a training refuses, with the same words, and writes nothing.
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/text.h"
#include "cdm/io/image.h"
#include "messages.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using test::Finished;
using test::mentions;
using test::TinyRun;
using testing::HasSubstr;

TEST(DryRun, WritesTheResolvedConfigurationToStandardOutputOnly) {
  const test::TinyRun tiny;
  const auto before = tiny.contents();
  const std::string text = tiny.run_well(
      "cdm-train",
      {"--config", "tiny.yaml", "--dry-run", "--device", "cpu", "--set", "train.iterations=123"});
  EXPECT_EQ(tiny.contents(), before);
  test::write_text(tiny / "printed.yaml", text);
  const RunConfig config = load_config(tiny / "printed.yaml");
  EXPECT_EQ(to_yaml(config), text);
  EXPECT_EQ(config.data.image_size, test::kSize);
  EXPECT_EQ(config.data.path, tiny / "train.npz");
  EXPECT_EQ(config.model.num_classes, test::kClasses);
  EXPECT_EQ(config.train.iterations, 123);
}

TEST(DryRun, RefusesWhatTrainingRefusesAndWritesNothing) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "run", {"train.iterations=1"}).exit_code, 0);
  std::filesystem::create_symlink("nowhere", tiny / "dangling");
  for (const char* name : {"cat", "dog"}) {
    const std::string file = tiny / concat("pets/", name, "/1.png");
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    write_png(file, at::full({1, 8, 8}, 100, at::kByte));
  }
  const auto before = tiny.contents();
  struct Call {
    std::vector<std::string> words;
    std::string named;
    int exit_code = 2;
  };
  const std::vector<Call> calls = {
      {{"--set", "data.test_path=null"}, "data.test_path"},
      {{"--set", "data.test_path=none.npz"}, "data.test_path = "},
      {{"--set", "data.path=plain.npz"}, "no labels"},
      {{"--set", "data.path=none.npz"}, "--set data.path=none.npz: data.path = "},
      {{"--set", "data.kind=mnist", "--set", "data.path=null"},
       "--set data.kind=mnist: data.kind = mnist: needs a path, and data.path is empty"},
      {{"--set", "data.kind=image_folder", "--set", "data.path=pets"},
       "model.num_classes = 3: image_folder train split in"},
      {{"--set", "model.num_classes=2"}, "model.num_classes = 2"},
      {{"--set", "sample.steps=21"}, "sample.steps = 21"},
      {{"--set", "precision=bf16"}, "bf16"},
      {{"--set", "model.kind=unet", "--set", "model.channel_mult=[1, 1, 1, 1, 1]"},
       "model.channel_mult"},
      {{"--device", "cuda:99"}, "cuda:99"},
      {{"--run-dir", "run", "--set", "model.channels=17"}, "model.channels: 16 -> 17"},
      {{"--run-dir", "tiny.yaml"}, "tiny.yaml", 1},
      {{"--run-dir", "tiny.yaml/run"}, "tiny.yaml/run", 1},
      {{"--run-dir", "dangling"}, "dangling", 1},
      {{"--run-dir", "/proc/cdm"}, "/proc/cdm", 1}};
  for (const Call& call : calls) {
    std::vector<std::string> words = {"tiny.yaml"};
    words.insert(words.end(), call.words.begin(), call.words.end());
    const Finished trained = tiny.run("cdm-train", words);
    words.emplace_back("--dry-run");
    const Finished dry = tiny.run("cdm-train", words);
    SCOPED_TRACE(call.named);
    EXPECT_EQ(dry.exit_code, call.exit_code);
    EXPECT_THAT(dry.err, HasSubstr(call.named));
    EXPECT_EQ(dry.err, trained.err);
    EXPECT_EQ(dry.exit_code, trained.exit_code);
    EXPECT_EQ(dry.out, "");
    EXPECT_EQ(tiny.contents(), before);
  }
}

TEST(DryRun, RefusesARunThatAnotherProcessTrainsIn) {
  const TinyRun tiny;
  test::Process training = tiny.start_training("tiny", "run", {"train.iterations=1000000000"});
  test::wait_until([&] { return !test::read_text(tiny / "run/metrics.jsonl").empty(); }, "metrics");
  const std::vector<std::string> words = {"tiny.yaml", "--run-dir", "run",
                                          "--dry-run", "--set",     "train.iterations=1000000000"};
  const Finished dry = tiny.run("cdm-train", words);
  EXPECT_EQ(dry.exit_code, 2);
  EXPECT_THAT(dry.err, mentions("run", "another process is training"));
  training.send(SIGTERM);
  EXPECT_EQ(training.wait().exit_code, 0);
  EXPECT_EQ(tiny.run("cdm-train", words).exit_code, 0);  // it could go on
}

TEST(DryRun, OfSeveralProcessesCountsThem) {
  const TinyRun tiny;
  const auto group =
      tiny.start_group(2, "cdm-train", {"tiny.yaml", "--dry-run", "--set", "train.batch_size=1"});
  for (const auto& process : group) {
    const Finished done = process->wait();
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_THAT(done.err, mentions("train.batch_size = 1", "at least 2"));
  }
  const Finished well = tiny.run_group(2, "cdm-train", {"tiny.yaml", "--dry-run"});
  EXPECT_EQ(well.exit_code, 0) << well.err;
  EXPECT_THAT(well.out, HasSubstr("batch_size: 8"));
}

/// IDX files of the shape of MNIST's, with `count` images.
void write_idx(const std::string& folder, int count) {
  std::filesystem::create_directories(folder);
  for (const char* split : {"train", "t10k"}) {
    std::string images("\0\0\x08\x03\0\0\0\0\0\0\0\x1c\0\0\0\x1c", 16);
    std::string labels("\0\0\x08\x01\0\0\0\0", 8);
    images[7] = labels[7] = static_cast<char>(count);
    for (int i = 0; i < count; ++i) {
      images += std::string(28 * 28, static_cast<char>(10 * i));
      labels += static_cast<char>(i % 10);
    }
    test::write_text(concat(folder, "/", split, "-images-idx3-ubyte"), images);
    test::write_text(concat(folder, "/", split, "-labels-idx1-ubyte"), labels);
  }
}

// All defaults fit together on the data set of the default kind, which has 28 x 28 pixels.
TEST(DryRun, AcceptsTheEmptyConfiguration) {
  const TinyRun tiny;
  write_idx(tiny / "idx", 3);
  for (const char* text : {"{}", ""}) {
    test::write_text(tiny / "empty.yaml", text);
    test::write_text(tiny / "printed.yaml", tiny.run_well("cdm-train", {"empty.yaml", "--dry-run",
                                                                        "--set", "data.path=idx"}));
    const RunConfig config = load_config(tiny / "printed.yaml");
    EXPECT_EQ(config.data.image_size, 28);
    EXPECT_EQ(config.model.channel_mult, (std::vector<std::int64_t>{1, 2, 2}));
    EXPECT_TRUE(config.data.horizontal_flip);
  }
  test::write_text(
      tiny / "printed.yaml",
      tiny.run_well("cdm-train", {"empty.yaml", "--dry-run", "--set", "data.path=idx", "--set",
                                  "data.kind=mnist", "--set", "model.channels=32"}));
  EXPECT_FALSE(load_config(tiny / "printed.yaml").data.horizontal_flip);
}

}  // namespace
}  // namespace cdm
