// SPDX-License-Identifier: MIT
// What the JSON beside samples and scores records: keys that --set has changed, and pictures that
// were made to fit.
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/io/image.h"
#include "messages.h"
#include "tiny_run.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::mentions;
using testing::HasSubstr;
using testing::Not;

class Records : public testing::Test {
 protected:
  Records() { EXPECT_EQ(tiny_.train("plain", "run", {"train.iterations=1"}).exit_code, 0); }

  nlohmann::json json(const std::string& file) const {
    return nlohmann::json::parse(test::read_text(tiny_ / file));
  }
  /// Two pictures of one colour.
  void paint(const std::string& folder, std::int64_t channels, std::int64_t size) const {
    fs::create_directories(tiny_ / folder);
    for (int i = 0; i < 2; ++i) {
      at::Tensor picture = at::full({channels, size, size}, 40 * i, at::kByte);
      picture[0].fill_(200);
      write_png(fs::path(tiny_ / folder) / (std::to_string(i) + ".png"), picture);
    }
  }

  test::TinyRun tiny_;
};

TEST_F(Records, NameTheKeysThatWereChanged) {
  tiny_.run_well("cdm-sample", {"run", "-n", "1", "--out", "a.npz"});
  EXPECT_EQ(json("a.npz.json")["changed_keys"], nlohmann::json::object());
  tiny_.run_well("cdm-sample", {"run", "-n", "1", "--out", "b.npz", "--set", "sample.steps=7",
                                "--set", "sample.sampler=heun", "--set", "device=cpu"});
  EXPECT_EQ(json("b.npz.json")["changed_keys"],
            nlohmann::json({{"sample.steps", "7"}, {"sample.sampler", "heun"}}));
  tiny_.run_well("cdm-nll", {"run", "--set", "operations=plain", "--out", "a.csv"});
  EXPECT_EQ(json("a.csv.json")["changed_keys"], nlohmann::json({{"operations", "plain"}}));
}

TEST_F(Records, SayWhatWasScoredAndHow) {
  const std::string out =
      tiny_.run_well("cdm-nll", {"run", "--data", "train.npz", "--limit", "5", "--level", "3",
                                 "--weights", "model", "--out", "a.csv"});
  const nlohmann::json record = json("a.csv.json");
  EXPECT_EQ(record["images"], 5);
  EXPECT_EQ(record["level"], 3);
  EXPECT_EQ(record["weights"], "model");
  EXPECT_EQ(record["conversion"], "");
  EXPECT_EQ(record["scored_with"], "no classes");
  EXPECT_THAT(record["data"].get<std::string>(), HasSubstr("train.npz"));
  EXPECT_THAT(record["checkpoint"].get<std::string>(), HasSubstr("step-00000001"));
  const std::string mean =
      concat("\nbits_per_dim ", fixed(record["means"]["bits_per_dim"]["mean"].get<double>(), 4));
  EXPECT_THAT(out, HasSubstr(mean));
}

TEST_F(Records, PicturesThatDoNotFitNeedResize) {
  paint("large", 1, 16);
  paint("colour", 3, 8);
  paint("good", 1, 8);
  const auto score = [&](const std::string& data, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"run", "--data", data, "--out", data + ".csv"};
    words.insert(words.end(), more.begin(), more.end());
    return tiny_.run("cdm-nll", words);
  };
  EXPECT_EQ(score("good").exit_code, 0);
  EXPECT_EQ(json("good.csv.json")["conversion"], "");
  for (const auto& [data, what] : {std::pair("large", "16 x 16"), std::pair("colour", "grey")}) {
    const test::Finished refused = score(data);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, mentions(data, what, "1 x 8 x 8", "--resize"));
    EXPECT_FALSE(fs::exists(tiny_ / (std::string(data) + ".csv")));
    const test::Finished done = score(data, {"--resize"});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_THAT(done.err, mentions(data, what));
    EXPECT_THAT(json(std::string(data) + ".csv.json")["conversion"].get<std::string>(),
                HasSubstr(what));
  }
  EXPECT_EQ(tiny_.run("cdm-eval", {"levels", "run", "--data", "large"}).exit_code, 2);
  // Pictures of another folder are not the run's own, however they are given.
  EXPECT_EQ(tiny_
                .run("cdm-nll", {"run", "--set", "data.kind=image_folder", "--set",
                                 "data.path=large", "--set", "data.test_path=large"})
                .exit_code,
            2);
}

TEST_F(Records, AStartThatIsNotNoiseIsSaid) {
  const auto warning = [&](const std::string& steps) {
    return tiny_.run("cdm-sample", {"run", "-n", "1", "--out", "a.npz", "--steps", steps}).err;
  };
  // The tiny run's schedule of 20 small steps ends with most of the image left.
  EXPECT_THAT(warning("20"), mentions("warning: ", "level 20 of 20", "diffusion.beta_end"));
  ASSERT_EQ(
      tiny_.train("plain", "noisy", {"train.iterations=1", "diffusion.beta_end=0.6"}).exit_code, 0);
  const auto of_noisy = [&](const std::string& steps) {
    return tiny_.run("cdm-sample", {"noisy", "-n", "1", "--out", "a.npz", "--steps", steps}).err;
  };
  EXPECT_THAT(of_noisy("20"), Not(HasSubstr("warning")));
  EXPECT_THAT(of_noisy("2"), mentions("warning: ", "level 11 of 20", "trailing"));
}

}  // namespace
}  // namespace cdm
