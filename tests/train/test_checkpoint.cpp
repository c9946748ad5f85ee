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
          .more_emas = {},
          .exp_avg = tensors(30),
          .exp_avg_sq = tensors(40)};
}

RunConfig some_config() {
  RunConfig config;
  config.model.channels = 24;
  config.data.path = "/data/\xc3\xa9 \"x\"";
  return config;
}

fs::path save(const fs::path& folder, const TrainingState& state) {
  return write_checkpoint(folder, state, some_config());
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
  const fs::path path = save(folder_ / "deep" / "er", written);
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
  expect_equal(read_weights(path, "ema"), written.ema);
  expect_equal(read_weights(path, "model"), written.model);
  EXPECT_EQ(user_error([&] { read_weights(path, "ema2"); }),
            path.string() + ": has no weights named ema2, only model, ema");
}

TEST_F(CheckpointTest, HoldsSeveralAverages) {
  TrainingState written = some_checkpoint();
  written.more_emas = {tensors(50), tensors(60)};
  const fs::path path = save(folder_, written);
  expect_equal(read_checkpoint(path), written);
  expect_equal(read_weights(path, "ema"), written.ema);
  expect_equal(read_weights(path, "ema2"), written.more_emas[0]);
  expect_equal(read_weights(path, "ema3"), written.more_emas[1]);
  overwrite(path / "ema3.safetensors", read_file(path / "ema2.safetensors"));
  EXPECT_THAT(user_error([&] { read_checkpoint(path); }), HasSubstr("ema3.safetensors: damaged"));
}

TEST_F(CheckpointTest, MayHoldAveragesAlone) {
  TrainingState written = some_checkpoint();
  written.more_emas = {tensors(50)};
  const fs::path path = folder_ / "averages" / "any name";
  write_averages(path, written, some_config());
  EXPECT_THAT(names_in(path),
              testing::ElementsAre("ema.safetensors", "ema2.safetensors", "state.json"));
  expect_equal(read_weights(path, "ema2"), written.more_emas[0]);
  EXPECT_EQ(read_checkpoint_step(path), 1000);
  EXPECT_EQ(read_checkpoint_config(path).model.channels, 24);
  EXPECT_EQ(user_error([&] { read_checkpoint(path); }),
            path.string() + ": holds averages of weights alone, from which training cannot go on");
  EXPECT_EQ(user_error([&] { read_weights(path, "model"); }),
            path.string() + ": has no weights named model, only ema, ema2");
}

TEST_F(CheckpointTest, ListsOldestFirstAndOnlyWholeOnes) {
  EXPECT_TRUE(list_checkpoints(folder_ / "none").empty());
  for (const std::int64_t step : {123456789LL, 900LL, 1000LL, 99999999LL}) {
    save(folder_, some_checkpoint(step));
  }
  for (const char* other : {"step-00002000.tmp-77", "step-", "step-12x", "sample-00000001"}) {
    fs::create_directory(folder_ / other);
  }
  EXPECT_THAT(list_checkpoints(folder_),
              testing::ElementsAre(folder_ / "step-00000900", folder_ / "step-00001000",
                                   folder_ / "step-99999999", folder_ / "step-123456789"));
}

TEST_F(CheckpointTest, ReplacesOneOfTheSameStep) {
  save(folder_, some_checkpoint());
  TrainingState newer = some_checkpoint();
  newer.model = tensors(99);
  const fs::path path = save(folder_, newer);
  expect_equal(read_checkpoint(path).model, newer.model);
  EXPECT_EQ(names_in(folder_).size(), 1U);
}

TEST_F(CheckpointTest, NamesTheDamagedFile) {
  const fs::path path = save(folder_, some_checkpoint());
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

TEST_F(CheckpointTest, KnowsItsConfiguration) {
  const fs::path path = save(folder_, some_checkpoint());
  EXPECT_EQ(flatten(read_checkpoint_config(path)), flatten(some_config()));
  const RunConfig changed = read_checkpoint_config(path, {"device=cpu", "model.channels=32"});
  EXPECT_EQ(changed.device, "cpu");
  EXPECT_EQ(changed.model.channels, 32);
  EXPECT_THAT(user_error([&] { read_checkpoint_config(path, {"model.chanels=1"}); }),
              HasSubstr("model.chanels"));
}

TEST_F(CheckpointTest, KeepsAPathThatIsNotUtf8FromSpoilingIt) {
  RunConfig config = some_config();
  config.data.path = "/data/caf\xe9";
  const fs::path path = write_checkpoint(folder_, some_checkpoint(), config);
  EXPECT_EQ(read_checkpoint(path).step, 1000);
  EXPECT_EQ(read_checkpoint_config(path).data.path, "/data/caf\xef\xbf\xbd");
}

/// What reading the checkpoint says: "damaged", "refused" or "read".
std::string outcome(const fs::path& path) {
  try {
    read_checkpoint(path);
    return "read";
  } catch (const DamagedCheckpoint&) {
    return "damaged";
  } catch (const UserError&) {
    return "refused";
  }
}

TEST_F(CheckpointTest, IsDamagedOnlyByItsContent) {
  const fs::path path = save(folder_, some_checkpoint());
  for (const char* const name : kFiles) {
    const fs::path file = path / name;
    const std::string whole = read_file(file);
    overwrite(file, whole.substr(0, whole.size() / 2));
    EXPECT_EQ(outcome(path), "damaged") << name;
    overwrite(file, "");
    EXPECT_EQ(outcome(path), "damaged") << name;
    fs::remove(file);
    EXPECT_EQ(outcome(path), "damaged") << name;
    // A link to itself exists but cannot be opened, not even by the superuser.
    fs::create_symlink(file, file);
    EXPECT_EQ(outcome(path), "refused") << name;
    EXPECT_THAT(user_error([&] { read_checkpoint(path); }),
                test::error_in(file, "Too many levels of symbolic links"));
    fs::remove(file);
    fs::create_symlink("/nowhere/else", file);
    EXPECT_EQ(outcome(path), "refused") << name;
    EXPECT_THAT(user_error([&] { read_checkpoint(path); }), test::error_in(file, "/nowhere/else"));
    overwrite(file, whole);
    EXPECT_EQ(outcome(path), "read");
  }
}

TEST_F(CheckpointTest, SaysInWordsWhatIsWrongWithItsState) {
  const fs::path path = save(folder_, some_checkpoint());
  for (const char* const text : {"", "{", "[1]", "{}", "{\"format\": \"two\"}", "\xff"}) {
    overwrite(path / "state.json", text);
    const std::string message = user_error([&] { read_checkpoint(path); });
    EXPECT_THAT(message, test::error_in(path / "state.json", "damaged: "));
    EXPECT_EQ(message.find("json.exception"), std::string::npos) << message;
  }
}

TEST_F(CheckpointTest, RefusesAnotherFormat) {
  const fs::path path = save(folder_, some_checkpoint());
  const std::string state = read_file(path / "state.json");
  const std::string before = "\"format\": 2";
  ASSERT_NE(state.find(before), std::string::npos);
  for (const char* const other : {"1", "3"}) {
    std::string changed = state;
    changed.replace(state.find(before), before.size(), concat("\"format\": ", other));
    overwrite(path / "state.json", changed);
    EXPECT_EQ(outcome(path), "refused");
    EXPECT_THAT(user_error([&] { read_checkpoint(path); }),
                test::error_in(path / "state.json",
                               concat("format ", other, " is not known here, only 2")));
  }
}

TEST_F(CheckpointTest, IsNotListedWhereTheFolderCannotBeRead) {
  fs::create_symlink("/nowhere/else", folder_ / "link");
  EXPECT_THAT(user_error([&] { list_checkpoints(folder_ / "link"); }),
              test::error_in(folder_ / "link", "/nowhere/else"));
  overwrite(folder_ / "file", "");
  EXPECT_THAT(user_error([&] { list_checkpoints(folder_ / "file"); }),
              test::error_in(folder_ / "file", "cannot be read: "));
  EXPECT_TRUE(list_checkpoints(folder_ / "file" / "below").empty());
}

TEST_F(CheckpointTest, RefusesWhatIsNotAFolder) {
  EXPECT_THAT(user_error([&] { read_checkpoint(folder_ / "none"); }),
              HasSubstr((folder_ / "none").string()));
}

TEST_F(CheckpointTest, AFailedWriteLeavesTheOldOneAndNothingElse) {
  const TrainingState old = some_checkpoint();
  const fs::path path = save(folder_, old);

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
    save(folder_, large);
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
    save(folder_ / "file" / "checkpoints", some_checkpoint());
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr((folder_ / "file").string()));
  }
  EXPECT_EQ(names_in(folder_).size(), 1U);
}

}  // namespace
}  // namespace cdm
