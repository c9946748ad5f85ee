// SPDX-License-Identifier: MIT
// cdm-eval: its files, and what it refuses.
#include <gmock/gmock.h>

#include <iomanip>
#include <sstream>

#include "cdm/io/image.h"
#include "cdm/text.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CdmEval : public testing::Test {
 protected:
  void train(const std::string& run, const std::vector<std::string>& settings = {}) {
    std::vector<std::string> all = {"train.iterations=2", "train.sample_every=0",
                                    "train.nll_every=0"};
    all.insert(all.end(), settings.begin(), settings.end());
    const test::Finished done = tiny_.train("unet", run, all);
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }
  nlohmann::json json(const std::string& file) {
    return nlohmann::json::parse(test::read_text(tiny_ / file));
  }
  bool exists(const std::string& file) { return std::filesystem::exists(tiny_ / file); }

  test::TinyRun tiny_;
};

TEST_F(CdmEval, LevelsComparesRuns) {
  train("first");
  train("ddm", {"model.kind=ddm_unet"});
  const std::string out =
      tiny_.run_well("cdm-eval", {"levels", "first", "ddm", "--repeats", "2", "--out", "results"});
  EXPECT_THAT(out, AllOf(HasSubstr("ce_nats"), HasSubstr("first"), HasSubstr("ddm")));
  const auto rows = json("results/levels.json");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].at("run"), "first");
  EXPECT_EQ(rows[0].at("images"), test::kImages);
  for (const char* figure : {"ce_nats", "accuracy", "mse", "bits_per_dim", "calibration_error"}) {
    EXPECT_TRUE(rows[0].at(figure).is_number()) << figure;
    EXPECT_EQ(rows[1].at(figure).is_number(), std::string(figure) == "mse") << figure;
  }
  // The table of the same images by cdm-nll.
  const std::string nll = tiny_.run_well("cdm-nll", {"first"});
  std::ostringstream bits;
  bits << std::fixed << std::setprecision(4) << rows[0].at("bits_per_dim").get<double>();
  EXPECT_THAT(nll, HasSubstr("bits_per_dim " + bits.str()));

  EXPECT_EQ(json("results/levels-first-levels.json").size(), 22u);
  for (const char* picture : {"confusion", "calibration"}) {
    for (const char* extension : {".csv", ".gp", ".svg", ".png"}) {
      EXPECT_TRUE(exists(concat("results/levels-first-", picture, extension))) << picture;
    }
  }
  EXPECT_TRUE(exists("results/levels.csv"));
}

TEST_F(CdmEval, DenoiseSetsRunsSideBySide) {
  train("first");
  train("ddm", {"model.kind=ddm_unet"});
  const std::string out =
      tiny_.run_well("cdm-eval", {"denoise", "first", "ddm/checkpoints/step-00000002", "--levels",
                                  "3", "--limit", "6", "--images", "2", "--columns", "4"});
  EXPECT_THAT(out, HasSubstr("psnr_db"));
  const auto rows = json("first/eval/denoise.json");
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0].at("level"), 1);
  EXPECT_EQ(rows[2].at("level"), 20);
  EXPECT_EQ(rows[5].at("run"), "step-00000002");
  EXPECT_NE(rows[1].at("mse_noise"), rows[4].at("mse_noise"));
  for (const char* extension : {".csv", ".gp", ".svg", ".png"}) {
    EXPECT_TRUE(exists(concat("first/eval/denoise", extension)));
  }
  // Two images, each with a noisy row and one per run; the clean column and four levels.
  const at::Tensor strip = read_image(tiny_ / "first/eval/denoise-images.png", 1);
  EXPECT_GT(strip.size(1), 6 * 64);
  EXPECT_GT(strip.size(2), 5 * 64);
  EXPECT_LT(strip.size(1), 7 * 80);
}

TEST_F(CdmEval, CurvesGivesTheDensityAtEveryLevel) {
  train("first");
  tiny_.run_well("cdm-eval",
                 {"curves", "first", "--limit", "2", "--noise-levels", "0,10", "--out", "c"});
  const auto rows = json("c/curves-first.json");
  ASSERT_EQ(rows.size(), 2u * 2u * 22u);
  EXPECT_EQ(rows[22].at("image"), 1);
  EXPECT_EQ(rows[44].at("noise_level"), 10);
  // At level 0 the clean image's log density is the one that cdm-nll writes.
  tiny_.run_well("cdm-nll", {"first", "--limit", "1", "--out", "scores.csv"});
  const std::string scores = test::read_text(tiny_ / "scores.csv");
  const double nats = std::stod(scores.substr(scores.find("\n0,") + 3));
  EXPECT_NEAR(rows[0].at("log_prob_nats").get<double>(), nats, 1e-3);
  EXPECT_TRUE(exists("c/curves-first.svg"));
}

TEST_F(CdmEval, RefusesWhatItCannotMeasure) {
  train("first");
  train("ddm", {"model.kind=ddm_unet"});
  test::write_images(tiny_ / "large.npz", 4, false, 1, 16);
  struct Wrong {
    std::vector<std::string> arguments;
    std::vector<std::string> named;
  };
  for (const Wrong& call :
       std::vector<Wrong>{{{}, {"subcommand"}},
                          {{"tables", "first"}, {"subcommand is required"}},
                          {{"levels"}, {"RUN_OR_CHECKPOINT"}},
                          {{"levels", "none"}, {"none"}},
                          {{"levels", "first", "first"}, {"first", "twice"}},
                          {{"levels", "first", "--data", "large.npz"}, {"large.npz", "16", "8"}},
                          {{"levels", "first", "--out", "tiny.yaml"}, {"tiny.yaml", "folder"}},
                          {{"levels", "first", "--repeats", "0"}, {"--repeats"}},
                          {{"curves", "ddm"}, {"ddm_unet", "density"}},
                          {{"curves", "first", "--noise-levels", "22"}, {"22", "0..21"}},
                          {{"denoise", "first", "--columns", "0"}, {"--columns"}}}) {
    const test::Finished done = tiny_.run("cdm-eval", call.arguments);
    EXPECT_EQ(done.exit_code, 2) << done.err;
    for (const std::string& text : call.named) EXPECT_THAT(done.err, HasSubstr(text));
    EXPECT_THAT(done.out, Not(HasSubstr("Error")));
  }
}

}  // namespace
}  // namespace cdm
