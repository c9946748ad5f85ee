// SPDX-License-Identifier: MIT
// Class names of whole programs: a class keeps its number by its name, in training, resumed
// training, sampling and scoring.
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "cdm/io/image.h"
#include "messages.h"
#include "tiny_run.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::mentions;
using testing::Each;
using testing::HasSubstr;
using testing::Not;

/// A run on pictures of dark cats and bright dogs.
class ClassNames : public testing::Test {
 protected:
  ClassNames() {
    for (const char* const split : {"train", "test"}) {
      for (const auto& [name, grey] : {std::pair("cat", 30), std::pair("dog", 220)}) {
        const fs::path folder = pets() / split / name;
        fs::create_directories(folder);
        for (int i = 0; i < 4; ++i) {
          write_png(folder / (std::to_string(i) + ".png"),
                    at::full({1, test::kSize, test::kSize},
                             grey + i + (std::string(split) == "test" ? 10 : 0), at::kByte));
        }
      }
    }
    test::write_text(tiny_ / "pets.yaml",
                     "device: cpu\n"
                     "data: {kind: image_folder, path: pets, image_size: 8}\n"
                     "diffusion: {steps: 20, beta_end: 0.5}\n"
                     "model: {kind: mlp, channels: 16, res_blocks: 1, num_classes: 2}\n"
                     "train: {iterations: 10, batch_size: 4, warmup: 0, ema_start: 0,\n"
                     "        checkpoint_every: 5, sample_every: 0, nll_every: 0}\n"
                     "sample: {steps: 5}\n");
  }

  fs::path pets() const { return tiny_ / "pets"; }
  test::Finished train(const std::vector<std::string>& settings = {}) const {
    return tiny_.train("pets", "run", settings);
  }
  void train_well() const { ASSERT_EQ(train().exit_code, 0); }
  /// The lines of the scores of `data`, without the header.
  std::vector<std::string> scores(const std::string& data) const {
    tiny_.run_well("cdm-nll", {"run", "--data", data, "--out", "scores.csv"});
    std::istringstream table(test::read_text(tiny_ / "scores.csv"));
    std::vector<std::string> lines;
    for (std::string line; std::getline(table, line);) lines.push_back(line);
    lines.erase(lines.begin());
    return lines;
  }
  nlohmann::json json(const std::string& file) const {
    return nlohmann::json::parse(test::read_text(tiny_ / file));
  }

  test::TinyRun tiny_;
};

TEST_F(ClassNames, ArePartOfTheRun) {
  const test::Finished done = train();
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("classes: 0 cat, 1 dog"));
  EXPECT_THAT(test::read_text(tiny_ / "run/config.yaml"), HasSubstr("class_names: [cat, dog]\n"));

  tiny_.run_well("cdm-sample", {"run", "-n", "2", "--out", "a.npz", "--class", "dog,cat"});
  EXPECT_EQ(json("a.npz.json")["classes"], nlohmann::json({1, 0}));
  EXPECT_EQ(json("a.npz.json")["class_names"], nlohmann::json({"cat", "dog"}));
  tiny_.run_well("cdm-sample", {"run", "-n", "2", "--out", "b.npz", "--class", "1,0"});
  EXPECT_EQ(test::read_text(tiny_ / "a.npz"), test::read_text(tiny_ / "b.npz"));
}

TEST_F(ClassNames, DecideTheLabelsOfPartsOfTheData) {
  train_well();
  const std::vector<std::string> both = scores("pets");
  ASSERT_EQ(both.size(), 8U);
  // Alone in a folder, dogs would be class 0.
  fs::create_directories(tiny_ / "dogs");
  fs::copy(pets() / "test/dog", tiny_ / "dogs/dog");
  const std::vector<std::string> dogs = scores("dogs");
  ASSERT_EQ(dogs.size(), 4U);
  for (std::size_t i = 0; i < dogs.size(); ++i) {
    EXPECT_EQ(dogs[i].substr(dogs[i].find(',')), both[4 + i].substr(both[4 + i].find(',')));
  }
  fs::rename(tiny_ / "dogs/dog", tiny_ / "dogs/wolf");
  const test::Finished unknown = tiny_.run("cdm-nll", {"run", "--data", "dogs"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, mentions("dogs", "'wolf'", "'cat', 'dog'"));
  EXPECT_EQ(tiny_.run("cdm-eval", {"levels", "run", "--data", "dogs"}).exit_code, 2);
}

TEST_F(ClassNames, AreComparedWhenARunIsResumed) {
  ASSERT_EQ(train({"train.iterations=5"}).exit_code, 0);
  const auto before = test::read_text(tiny_ / "run/metrics.jsonl");
  for (const char* const split : {"train", "test"}) {
    fs::rename(pets() / split / "dog", pets() / split / "wolf");
  }
  const test::Finished renamed = train();
  EXPECT_EQ(renamed.exit_code, 2);
  EXPECT_THAT(renamed.err, mentions("missing: 'dog'", "new: 'wolf'"));
  for (const char* const split : {"train", "test"}) fs::remove_all(pets() / split / "wolf");
  const test::Finished missing = train();
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.err, mentions("missing: 'dog'"));
  EXPECT_EQ(test::read_text(tiny_ / "run/metrics.jsonl"), before);
}

TEST_F(ClassNames, OfTheConfigurationNumberTheClasses) {
  ASSERT_EQ(train({"model.class_names=[dog, cat]"}).exit_code, 0);
  const std::vector<std::string> lines = scores("pets");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_THAT(lines[i], HasSubstr(i < 4 ? ",1,cat/" : ",0,dog/")) << "cats are class 1 now";
  }
  // The same command without the names goes on with those of the run.
  EXPECT_EQ(train({"train.iterations=12"}).exit_code, 0);
}

TEST_F(ClassNames, OfSamplesAreThoseOfTheJudge) {
  train_well();
  tiny_.run_well("cdm-sample", {"run", "-n", "6", "--out", "a.npz", "--class", "dog"});
  fs::remove_all(pets() / "train/cat");
  fs::remove_all(pets() / "test/cat");
  // All real images are dogs, and so must all samples be.
  const auto agreement = [&] {
    tiny_.run_well("cdm-eval", {"agreement", "a.npz", "--data", "pets", "--out", "eval"});
    return json("eval/agreement.json")[0]["share_agreeing"].get<double>();
  };
  EXPECT_EQ(agreement(), 1.0);
}

TEST_F(ClassNames, WithoutTrainingImagesAreMentioned) {
  ASSERT_EQ(tiny_.train("tiny", "more", {"model.num_classes=5", "train.iterations=1"}).exit_code,
            0);
  EXPECT_THAT(test::read_text(tiny_ / "more/config.yaml"),
              HasSubstr("untrained_classes: [3, 4]\n"));
  EXPECT_THAT(test::read_text(tiny_ / "more/log.txt"), mentions("model.num_classes = 5", "3, 4"));
  const auto warning = [&](const char* number) {
    return tiny_.run("cdm-sample", {"more", "-n", "1", "--out", "a.npz", "--class", number}).err;
  };
  EXPECT_THAT(warning("4"), mentions("warning: --class 4", "no images"));
  EXPECT_THAT(warning("2"), Not(HasSubstr("--class 2")));
}

TEST_F(ClassNames, NeedATrainedNullClassForGuidance) {
  ASSERT_EQ(train({"loss.label_dropout=0"}).exit_code, 0);
  const auto refusal = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"run", "-n", "1", "--out", "a.npz"});
    const test::Finished done = tiny_.run("cdm-sample", words);
    EXPECT_EQ(done.exit_code, 2);
    return done.err;
  };
  EXPECT_THAT(refusal({"--class", "cat", "--guidance", "1"}),
              mentions("--guidance 1", "loss.label_dropout = 0"));
  EXPECT_THAT(refusal({}), mentions("--class", "loss.label_dropout = 0"));
  fs::create_directories(tiny_ / "loose");
  fs::copy(pets() / "test/dog/0.png", tiny_ / "loose/0.png");
  EXPECT_THAT(tiny_.run("cdm-nll", {"run", "--data", "loose"}).err,
              mentions("loose", "loss.label_dropout = 0"));
}

TEST_F(ClassNames, MustBeSuchThatARunCanKeepThem) {
  for (const char* const split : {"train", "test"}) {
    fs::rename(pets() / split / "cat", pets() / split / "caf\xe9");
  }
  const test::Finished done = train();
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, mentions("caf?", "UTF-8"));
  EXPECT_FALSE(fs::exists(tiny_ / "run/checkpoints"));
  EXPECT_EQ(train({"model.num_classes=0"}).exit_code, 0) << "without classes, names do not matter";
}

TEST_F(ClassNames, MayBeAnythingThatUtf8Writes) {
  for (const char* const split : {"train", "test"}) {
    fs::rename(pets() / split / "cat", pets() / split / "1, \"\xe7\x8a\xac\"");
    fs::rename(pets() / split / "dog", pets() / split / "no");
  }
  ASSERT_EQ(train({"train.iterations=5"}).exit_code, 0);
  EXPECT_EQ(train().exit_code, 0) << "the run goes on";
  tiny_.run_well("cdm-sample",
                 {"run", "-n", "1", "--out", "a.npz", "--class", "1, \"\xe7\x8a\xac\""});
  EXPECT_EQ(json("a.npz.json")["classes"], nlohmann::json({0}));
  EXPECT_THAT(test::read_text(tiny_ / "run/config.yaml"), HasSubstr(", \"no\"]"));
}

TEST_F(ClassNames, ScoresOfUntrainedClassesAreMentioned) {
  ASSERT_EQ(tiny_.train("tiny", "more", {"model.num_classes=5", "train.iterations=1"}).exit_code,
            0);
  test::write_images(tiny_ / "five.npz", 5, true);
  {
    NpzWriter npz(tiny_ / "late.npz");
    npz.write("arr_0", at::full({1, test::kSize, test::kSize, 1}, 7, at::kByte));
    npz.write("arr_1", at::full({1}, 4, at::kLong));
    npz.close();
  }
  EXPECT_THAT(tiny_.run("cdm-nll", {"more", "--data", "late.npz"}).err,
              mentions("warning: ", "late.npz", "class 4"));
  EXPECT_THAT(tiny_.run("cdm-nll", {"more", "--data", "five.npz"}).err, Not(HasSubstr("warning")));
}

TEST_F(ClassNames, FoldersOfSplitsAreNoClasses) {
  fs::create_directories(tiny_ / "caps");
  fs::rename(pets() / "train/cat", tiny_ / "caps/Train");
  fs::rename(pets() / "test/cat", tiny_ / "caps/Test");
  const test::Finished done = tiny_.train("pets", "run", {"data.path=caps", "model.num_classes=0"});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, mentions("caps", "Test, Train", "splits"));
}

}  // namespace
}  // namespace cdm
