// SPDX-License-Identifier: MIT
// Checkpoints on disk: round trip, order, damage, and writes that fail.
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cctype>
#include <csignal>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "cdm/run/checkpoint.h"
#include "equal_checkpoints.h"
#include "files.h"
#include "support.h"

namespace cdm {
namespace {

using test::expect_equal;
using test::numbers;
using test::overwrite;
using test::user_error;
namespace fs = std::filesystem;
using testing::HasSubstr;

const char* const kFiles[] = {"model.safetensors", "ema.safetensors", "optimizer.safetensors",
                              "state.json"};

NamedTensors tensors(std::uint64_t seed) {
  return {{"conv_in.weight", numbers(seed, {4, 3, 3, 3}, at::kFloat)},
          {"conv_in.bias", numbers(seed + 1, {4}, at::kFloat)},
          {"a.name before the others", numbers(seed + 2, {2, 5}, at::kDouble)}};
}

TrainingState some_checkpoint(std::int64_t step = 1000) {
  return {.step = step,
          .seconds = 12.25,
          .model = tensors(10),
          .ema = tensors(20),
          .exp_avg = tensors(30),
          .exp_avg_sq = tensors(40)};
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

class CheckpointTest : public test::FilesTest {};

TEST_F(CheckpointTest, ComesBackAsItWas) {
  TrainingState written = some_checkpoint();
  // As layers keep them: channels side by side.
  written.model[0].second = written.model[0].second.contiguous(at::MemoryFormat::ChannelsLast);
  const fs::path path = write_checkpoint(folder_ / "deep" / "er", written);
  EXPECT_EQ(path, folder_ / "deep" / "er" / "step-00001000");
  EXPECT_THAT(names_in(path), testing::UnorderedElementsAreArray(kFiles));
  EXPECT_EQ(names_in(path.parent_path()).size(), 1U);

  const TrainingState read = read_checkpoint(path);
  EXPECT_EQ(read.step, 1000);
  EXPECT_EQ(read.seconds, 12.25);
  expect_equal(read.model, written.model);
  expect_equal(read.ema, written.ema);
  expect_equal(read.exp_avg, written.exp_avg);
  expect_equal(read.exp_avg_sq, written.exp_avg_sq);
  expect_equal(read_weights(path, true), written.ema);
  expect_equal(read_weights(path, false), written.model);
}

TEST_F(CheckpointTest, ListsOldestFirstAndOnlyWholeOnes) {
  EXPECT_TRUE(list_checkpoints(folder_ / "none").empty());
  for (const std::int64_t step : {123456789LL, 900LL, 1000LL, 99999999LL}) {
    write_checkpoint(folder_, some_checkpoint(step));
  }
  for (const char* other : {"step-00002000.tmp-77", "step-", "step-12x", "sample-00000001"}) {
    fs::create_directory(folder_ / other);
  }
  EXPECT_THAT(list_checkpoints(folder_),
              testing::ElementsAre(folder_ / "step-00000900", folder_ / "step-00001000",
                                   folder_ / "step-99999999", folder_ / "step-123456789"));
}

TEST_F(CheckpointTest, ReplacesOneOfTheSameStep) {
  write_checkpoint(folder_, some_checkpoint());
  TrainingState newer = some_checkpoint();
  newer.model = tensors(99);
  const fs::path path = write_checkpoint(folder_, newer);
  expect_equal(read_checkpoint(path).model, newer.model);
  EXPECT_EQ(names_in(folder_).size(), 1U);
}

TEST_F(CheckpointTest, NamesTheDamagedFile) {
  const fs::path path = write_checkpoint(folder_, some_checkpoint());
  const auto error = [&] { return user_error([&] { read_checkpoint(path); }); };
  for (const char* const name : kFiles) {
    const fs::path file = path / name;
    const std::string whole = read_file(file);
    for (const std::size_t length : {std::size_t{0}, std::size_t{5}, whole.size() / 2,
                                     whole.size() - (file.extension() == ".json" ? 2 : 1)}) {
      overwrite(file, whole.substr(0, length));
      EXPECT_THAT(error(), HasSubstr(file.string())) << "cut to " << length;
    }
    overwrite(file, whole + "x");
    EXPECT_THAT(error(), HasSubstr(file.string())) << "one byte more";
    for (std::size_t i = 0; i < whole.size(); ++i) {
      if (std::isspace(static_cast<unsigned char>(whole[i])) != 0) continue;  // says nothing
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ 1);
      overwrite(file, flipped);
      // A changed checksum in state.json shows as damage to the file that it is of.
      ASSERT_THAT(error(), HasSubstr(path.string())) << name << ", byte " << i;
    }
    fs::remove(file);
    EXPECT_THAT(error(), HasSubstr(file.string())) << "missing";
    overwrite(file, whole);
    EXPECT_EQ(error(), "no UserError");
  }
}

TEST_F(CheckpointTest, RefusesAnotherFormat) {
  const fs::path path = write_checkpoint(folder_, some_checkpoint());
  std::string state = read_file(path / "state.json");
  const std::string before = "\"format\": 1";
  ASSERT_NE(state.find(before), std::string::npos);
  overwrite(path / "state.json", state.replace(state.find(before), before.size(), "\"format\": 2"));
  const std::string message = user_error([&] { read_checkpoint(path); });
  EXPECT_THAT(message, HasSubstr((path / "state.json").string()));
  EXPECT_THAT(message, HasSubstr("format 2 is not known here, only 1"));
}

TEST_F(CheckpointTest, RefusesWhatIsNotAFolder) {
  EXPECT_THAT(user_error([&] { read_checkpoint(folder_ / "none"); }),
              HasSubstr((folder_ / "none").string()));
}

TEST_F(CheckpointTest, AFailedWriteLeavesTheOldOneAndNothingElse) {
  const TrainingState old = some_checkpoint();
  const fs::path path = write_checkpoint(folder_, old);

  TrainingState large = some_checkpoint();
  large.ema[0].second = at::zeros({100, 100});
  // No file may grow beyond 8 kB for a moment: as if the disk were full.
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit small = {8192, limit.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    write_checkpoint(folder_, large);
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, testing::AllOf(HasSubstr("ema.safetensors"), HasSubstr("File too large")));

  EXPECT_EQ(names_in(folder_), std::set<std::string>{"step-00001000"});
  expect_equal(read_checkpoint(path).ema, old.ema);
}

TEST_F(CheckpointTest, NamesAFolderThatCannotBeMade) {
  overwrite(folder_ / "file", "");
  try {
    write_checkpoint(folder_ / "file" / "checkpoints", some_checkpoint());
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr((folder_ / "file").string()));
  }
  EXPECT_EQ(names_in(folder_).size(), 1U);
}

}  // namespace
}  // namespace cdm
