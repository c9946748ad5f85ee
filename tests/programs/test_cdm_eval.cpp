// SPDX-License-Identifier: MIT
// cdm-eval: its files, and what it refuses.
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <torch/csrc/jit/api/module.h>

#include <cmath>
#include <iomanip>
#include <sstream>

#include "cdm/core/text.h"
#include "cdm/io/image.h"
#include "cdm/io/npz.h"
#include "eval_run.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using CdmEval = test::EvalRun;

TEST_F(CdmEval, LevelsComparesRuns) {
  train("first");
  train("ddm", {"model.predicts=noise", "loss.kind=denoising"});
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
  // A plain denoiser has no log-density, but it proves a likelihood, too.
  EXPECT_TRUE(rows[0].at("denoiser_bound_bits_per_dim").is_number());
  EXPECT_TRUE(rows[1].at("denoiser_bound_bits_per_dim").is_number());
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
  train("ddm", {"model.predicts=noise", "loss.kind=denoising"});
  const std::string out =
      tiny_.run_well("cdm-eval", {"denoise", "first", "ddm/checkpoints/step-00000002", "--levels",
                                  "3", "--limit", "6", "--images", "2", "--columns", "4"});
  EXPECT_THAT(out, HasSubstr("psnr_db"));
  const auto rows = json("first/eval/step-00000002/denoise.json");
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0].at("level"), 1);
  EXPECT_EQ(rows[2].at("level"), 20);
  EXPECT_EQ(rows[5].at("run"), "step-00000002");
  EXPECT_NE(rows[1].at("mse_noise"), rows[4].at("mse_noise"));
  for (const char* extension : {".csv", ".gp", ".svg", ".png"}) {
    EXPECT_TRUE(exists(concat("first/eval/step-00000002/denoise", extension)));
  }
  // Two images, each with a noisy row and one per run; the clean column and four levels.
  const at::Tensor strip = read_image(tiny_ / "first/eval/step-00000002/denoise-images.png", 1);
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
  tiny_.run_well("cdm-eval", {"curves", "first", "--limit", "2", "--noise-levels", "10,0,10",
                              "--batch", "1", "--out", "b"});
  const auto one_by_one = json("b/curves-first.json");
  ASSERT_EQ(one_by_one.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_NEAR(one_by_one[i].at("log_prob_nats").get<double>(),
                rows[i].at("log_prob_nats").get<double>(), 1e-3);
  }
  // Two levels have no quarter and no half.
  train("two", {"diffusion.steps=0", "loss.kind=nce"});
  tiny_.run_well("cdm-eval", {"curves", "two", "--limit", "3"});
  EXPECT_EQ(json("two/eval/step-00000002/curves-two.json").size(), 2u * 3u * 2u);
}

TEST_F(CdmEval, ToySetsEstimatesBesideExactDensities) {
  const std::vector<std::string> toy = {"data.kind=toy",      "data.toy=uniform",
                                        "data.toy_width=0.5", "data.toy_images=50",
                                        "data.image_size=8",  "data.channels=1"};
  train("cube", toy);
  const std::string out = tiny_.run_well("cdm-eval", {"toy", "cube", "--images", "20"});
  EXPECT_THAT(out, HasSubstr("mean_error_percent_of_d"));
  const auto rows = json("cube/eval/step-00000002/toy.json");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_NEAR(rows[0].at("exact_nats_per_dim").get<double>(), std::log(2.0), 1e-9);
  // Scores of the same images (the first of the test split) by cdm-nll.
  const std::string nll = tiny_.run_well("cdm-nll", {"cube", "--limit", "10"});
  EXPECT_THAT(nll, AllOf(HasSubstr("no pixels"), HasSubstr("log_prob_nats ")));
  tiny_.run_well("cdm-eval", {"toy", "cube", "--images", "10", "--out", "ten"});
  const double nats = 64.0 * json("ten/toy.json")[0].at("estimated_nats_per_dim").get<double>();
  EXPECT_NEAR(std::stod(nll.substr(nll.find("log_prob_nats ") + 14)), nats, 0.01);
  EXPECT_TRUE(exists("cube/eval/step-00000002/toy.svg"));
  EXPECT_TRUE(exists("cube/eval/step-00000002/toy-cube.csv"));
  const test::Finished too_many = tiny_.run("cdm-eval", {"toy", "cube", "--images", "10000000"});
  EXPECT_EQ(too_many.exit_code, 2);
  EXPECT_THAT(too_many.err, HasSubstr("--images 10000000"));
  // Values that are no pixels have no peak.
  tiny_.run_well("cdm-eval",
                 {"denoise", "cube", "--levels", "1", "--limit", "2", "--columns", "1"});
  EXPECT_TRUE(json("cube/eval/step-00000002/denoise.json")[0].at("psnr_db").is_null());
  for (const char* option : {"--gaussian", "--dequantize=uniform"}) {
    const test::Finished refused = tiny_.run("cdm-nll", {"cube", option});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, HasSubstr("no 8-bit pixels"));
  }
}

TEST_F(CdmEval, AgreementJudgesByTheNearestImages) {
  // Samples that are real images themselves, under their own labels, and under others. An .npz is
  // one split: images 0, 5, 10, 16, 21 and 26 of 32 are held out to judge the judge.
  const at::Tensor images = read_npz(tiny_ / "train.npz", "arr_0").narrow(0, 1, 4);
  const at::Tensor labels = read_npz(tiny_ / "train.npz", "arr_1").narrow(0, 1, 4);
  const auto write = [&](const char* file, const at::Tensor& classes) {
    NpzWriter npz(tiny_ / file);
    npz.write("arr_0", images);
    npz.write("arr_1", classes);
    npz.close();
  };
  write("right.npz", labels);
  write("wrong.npz", (labels + 1).remainder(3));
  tiny_.run_well("cdm-eval", {"agreement", "right.npz", "wrong.npz", "--data", "train.npz",
                              "--neighbours", "1"});
  for (const char* extension : {".svg", ".png", ".gp", ".csv"}) {
    EXPECT_TRUE(exists(concat("eval/agreement", extension)));
  }
  const auto rows = json("eval/agreement.json");
  EXPECT_EQ(rows[0].at("share_agreeing"), 1.0);
  EXPECT_EQ(rows[1].at("share_agreeing"), 0.0);
  EXPECT_EQ(rows[2].at("images"), "real images held out");
  EXPECT_EQ(rows[2].at("count"), 6);
  EXPECT_LT(rows[2].at("share_agreeing"), 1.0);  // of images that do not find themselves
  // A data set of two splits is taken as it is, and its pictures resized as the samples are.
  write_pictures("pictures/train");
  write_pictures("pictures/test", 1);
  tiny_.run_well("cdm-eval",
                 {"agreement", "right.npz", "--data", "pictures", "--judged", "3", "--out", "p"});
  EXPECT_EQ(json("p/agreement.json")[1].at("images"), "real test images");
  EXPECT_EQ(json("p/agreement.json")[1].at("count"), 3);
  EXPECT_THAT(json("p/agreement.json")[0].at("data").get<std::string>(), HasSubstr("train split"));
  EXPECT_THAT(json("p/agreement.json")[1].at("data").get<std::string>(), HasSubstr("test split"));
  // Other real images, which the judge does not know.
  write_png(tiny_ / "pictures/test/0/more.png", at::full({1, 16, 16}, 7, at::kByte));
  const test::Finished more = tiny_.run(
      "cdm-eval", {"agreement", "right.npz", "--data", "pictures", "--judged", "3", "--out", "p"});
  EXPECT_EQ(more.exit_code, 2);
  EXPECT_THAT(more.err, HasSubstr("data.test.conversion was resized 15 of 15 pictures"));
  const test::Finished refused =
      tiny_.run("cdm-eval", {"agreement", "plain.npz", "--data", "train.npz"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("no labels"));
}

TEST_F(CdmEval, FidComparesInAGivenNetwork) {
  train("first");
  // Features: means of 2 x 2 blocks, 16 of them.
  torch::jit::Module network("blocks");
  network.define(R"(
    def forward(self, x):
      return torch.avg_pool2d(torch.mean(x.float(), [1], True), [2, 2]).flatten(1)
  )");
  network.save(tiny_ / "blocks.pt");
  const std::vector<std::string> common = {"--features", "blocks.pt", "--subset-size",
                                           "20",         "--subsets", "3"};
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "fid");
    arguments.insert(arguments.end(), common.begin(), common.end());
    return tiny_.run("cdm-eval", arguments);
  };
  // A data set with itself: no distance, and all within each other's manifold.
  ASSERT_EQ(run({"--samples", "train.npz", "--reference", "train.npz", "--out", "same",
                 "--save-reference", "moments.npz"})
                .exit_code,
            0);
  const auto same = json("same/fid.json");
  EXPECT_EQ(same[0].at("measure"), "FD (blocks)");
  EXPECT_NEAR(same[0].at("value").get<double>(), 0.0, 1e-3);
  EXPECT_EQ(same[0].at("images"), test::kImages);
  EXPECT_EQ(same[0].at("features"), 16);
  EXPECT_EQ(same[0].at("network_sha256").get<std::string>().size(), 64u);
  EXPECT_EQ(same[1].at("subsets"), 3);
  EXPECT_EQ(same[1].at("subset_size"), 20);
  EXPECT_TRUE(same[0].at("subset_size").is_null());
  EXPECT_EQ(same[2].at("value"), 1.0);
  EXPECT_EQ(same[3].at("value"), 1.0);
  // Of 32 images, the 99.9 % range leaves out the smallest and the largest total variation.
  EXPECT_EQ(same[4].at("measure"), "broken");
  EXPECT_EQ(same[4].at("value"), 2.0 / test::kImages);
  EXPECT_LT(same[4].at("range_low").get<double>(), same[4].at("range_high").get<double>());
  EXPECT_TRUE(same[0].at("range_low").is_null());
  for (const char* extension : {".svg", ".png", ".gp", ".csv"}) {
    EXPECT_TRUE(exists(concat("same/fid", extension)));
  }

  ASSERT_EQ(run({"first", "-n", "24"}).exit_code, 0);
  const auto drawn = json("first/eval/step-00000002/fid.json");
  EXPECT_GT(drawn[0].at("value").get<double>(), 1.0);
  EXPECT_TRUE(drawn[1].at("value").is_number());
  EXPECT_EQ(drawn[0].at("sampler"), "ddim 10 steps, guidance 0");
  // The same images drawn before, and the reference's moments alone.
  tiny_.run_well("cdm-sample", {"first", "-n", "24", "--out", "drawn.npz"});
  ASSERT_EQ(run({"--samples", "drawn.npz", "--reference", "moments.npz"}).exit_code, 0);
  const auto again = json("eval/fid.json");
  EXPECT_NEAR(again[0].at("value").get<double>(), drawn[0].at("value").get<double>(),
              1e-6 * drawn[0].at("value").get<double>());
  EXPECT_TRUE(again[1].at("value").is_null());
  EXPECT_TRUE(again[4].at("value").is_null());
  EXPECT_TRUE(again[0].at("sampler").is_null());
  EXPECT_EQ(again[0].at("samples"), "drawn.npz");
  EXPECT_EQ(again[0].at("checkpoint"), tiny_ / "first/checkpoints/step-00000002");
  // The same images, drawn from another working directory, and by another build.
  EXPECT_EQ(run_in("d", "cdm-sample", {"../first", "-n", "24", "--out", "../drawn.npz"}).exit_code,
            0);
  change("drawn.npz.json", [](nlohmann::json& settings) { settings["version"] = "0.0.1"; });
  const test::Finished rebuilt =
      run({"--samples", "./drawn.npz", "--reference", "d/../moments.npz"});
  EXPECT_EQ(rebuilt.exit_code, 0) << rebuilt.err;
  // The same name with other images is another evaluation.
  tiny_.run_well("cdm-sample", {"first", "-n", "24", "--seed", "5", "--out", "drawn.npz"});
  const test::Finished redrawn = run({"--samples", "drawn.npz", "--reference", "moments.npz"});
  EXPECT_EQ(redrawn.exit_code, 2);
  EXPECT_THAT(redrawn.err,
              AllOf(HasSubstr("fid-settings.json"), HasSubstr("samples.drawn.seed was 0, is 5; ")));
  // How images are drawn may be changed in the run's configuration.
  replace("first/config.yaml", "\n  steps: 10\n", "\n  steps: 9\n");
  const test::Finished fewer = run({"first", "-n", "24"});
  EXPECT_EQ(fewer.exit_code, 2);
  EXPECT_THAT(fewer.err, HasSubstr("run.steps was 10, is 9; "));

  // Pictures of a folder are resized as a run's are.
  write_pictures("pictures");
  ASSERT_EQ(run({"first", "-n", "24", "--reference", "pictures", "--out", "p"}).exit_code, 0);
  EXPECT_EQ(json("p/fid.json")[0].at("reference_images"), 15);

  // Noise, of which flat images are no sort, and which two of its own images leave just so.
  NpzWriter flat(tiny_ / "flat.npz");
  flat.write("arr_0", at::full({24, 8, 8, 1}, 128, at::kByte));
  flat.close();
  const std::string out =
      run({"--samples", "flat.npz", "--reference", "train.npz", "--out", "f"}).out;
  EXPECT_THAT(out, AllOf(HasSubstr("broken"), HasSubstr("range_low")));
  EXPECT_EQ(json("f/fid.json")[4].at("value"), 1.0);
  const std::string of_images = test::read_text(tiny_ / "f/fid-images.csv");
  EXPECT_THAT(of_images, HasSubstr("image,total_variation,broken\n0,0,1\n1,0,1\n"));

  test::write_images(tiny_ / "large.npz", 4, false, 1, 16);
  test::write_images(tiny_ / "one.npz", 1, false);
  NpzWriter other(tiny_ / "other.npz");  // moments of another network
  other.write("mu", at::full({3}, 1.0, at::kDouble));
  other.write("sigma", at::full({3, 3}, 1.0, at::kDouble));
  other.close();
  const char* const endless = "100000000";  // images: a test that draws them does not end
  test::write_text(tiny_ / "junk.pt", "junk");
  struct Wrong {
    std::vector<std::string> arguments;
    const char* named;
  };
  for (const Wrong& call :
       std::vector<Wrong>{{{}, "--samples"},
                          {{"first", "--samples", "train.npz"}, "either"},
                          {{"--samples", "train.npz"}, "--reference"},
                          {{"--samples", "large.npz", "--reference", "train.npz"}, "one size"},
                          {{"--samples", "one.npz", "--reference", "train.npz"}, "one.npz"},
                          {{"--samples", "none.npz", "--reference", "train.npz"}, "none.npz"},
                          {{"first", "-n", endless, "--out", "tiny.yaml"}, "is a file"},
                          {{"first", "-n", endless, "--reference", "moments.npz",
                            "--save-reference", "./moments.npz"},
                           "same file"},
                          {{"first", "-n", endless, "--save-reference", "no/m.npz"}, "no/m.npz"},
                          {{"first", "-n", endless, "--reference", "other.npz"}, "3 features"},
                          {{"first", "-n", endless, "--neighbours", "32"}, "at least 33 images"},
                          {{"--samples", "train.npz", "-n", "9"}, "--samples"},
                          {{"--samples", "train.npz", "--set", "sample.steps=2"}, "--set"},
                          {{"first", "--class", "1"}, "--class"}}) {
    const test::Finished done = run(call.arguments);
    EXPECT_EQ(done.exit_code, 2) << done.err;
    EXPECT_THAT(done.err, HasSubstr(call.named));
  }
  const test::Finished junk = tiny_.run("cdm-eval", {"fid", "--samples", "train.npz", "--reference",
                                                     "train.npz", "--features", "junk.pt"});
  EXPECT_EQ(junk.exit_code, 2);
  EXPECT_THAT(junk.err, HasSubstr("junk.pt"));
}

TEST_F(CdmEval, TrainingDrawsTheScoresThatRunsHaveLogged) {
  const std::vector<std::string> twice = {"train.iterations=4", "train.nll_every=2"};
  train("first", twice);
  train("second", twice);
  const std::string out = tiny_.run_well("cdm-eval", {"training", "first", "second"});
  EXPECT_THAT(out, AllOf(HasSubstr("denoiser_bound"), HasSubstr("second"), HasSubstr("gap")));
  const std::string stem = "first/eval/step-00000004/training";
  for (const char* extension : {".csv", ".gp", ".svg", ".png"})
    EXPECT_TRUE(exists(stem + extension));
  const auto rows = json(stem + ".json");
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[3].at("run"), "second");
  EXPECT_EQ(rows[3].at("step"), 4);
  EXPECT_EQ(rows[3].at("unit"), "bits/dim");
  const auto logged = test::read_metrics(tiny_ / "second").back();
  EXPECT_EQ(rows[3].at("one_forward"), logged.at("test_bits_per_dim"));
  EXPECT_EQ(rows[3].at("denoiser_bound"), logged.at("test_denoiser_bound_bits_per_dim"));
  EXPECT_EQ(rows[3].at("gap"), logged.at("test_gap_bits_per_dim"));
  EXPECT_EQ(rows[3].at("gap_standard_error"), logged.at("test_gap_bits_per_dim_standard_error"));
  EXPECT_EQ(rows[3].at("seconds"), logged.at("seconds"));
  EXPECT_GT(rows[3].at("seconds").get<double>(), rows[2].at("seconds").get<double>());

  train("silent", {"train.nll_every=0"});
  train("cube", {"data.kind=toy", "data.toy_images=50", "data.image_size=8", "data.channels=1",
                 "train.nll_every=2"});
  struct Wrong {
    std::vector<std::string> arguments;
    const char* named;
  };
  for (const Wrong& call : std::vector<Wrong>{{{"silent"}, "silent/metrics.jsonl: has no scores"},
                                              {{"first", "none"}, "none: is no run directory"},
                                              {{"first", "./first"}, "twice"},
                                              {{"first", "cube"}, "cube: is scored in nats"}}) {
    std::vector<std::string> words = call.arguments;
    words.insert(words.begin(), "training");
    const test::Finished done = tiny_.run("cdm-eval", words);
    EXPECT_EQ(done.exit_code, 2) << done.err;
    EXPECT_THAT(done.err, HasSubstr(call.named));
  }
  tiny_.run_well("cdm-eval", {"training", "cube"});
  EXPECT_EQ(json("cube/eval/step-00000002/training.json")[0].at("unit"), "nats");
}

TEST_F(CdmEval, RefusesWhatItCannotMeasure) {
  train("first");
  train("ddm", {"model.predicts=noise", "loss.kind=denoising"});
  train("two", {"diffusion.steps=0", "loss.kind=nce"});
  test::write_images(tiny_ / "large.npz", 4, false, 1, 16);
  test::write_images(tiny_ / "many.npz", 300, false);
  struct Wrong {
    std::vector<std::string> arguments;
    std::vector<std::string> named;
  };
  for (const Wrong& call : std::vector<Wrong>{
           {{}, {"subcommand"}},
           {{"tables", "first"}, {"'tables'", "a subcommand is needed: levels"}},
           {{"levels"}, {"RUN_OR_CHECKPOINT"}},
           {{"levels", "none"}, {"none"}},
           {{"levels", "first", "first"}, {"first", "twice"}},
           {{"levels", "first", "two/../first"}, {"two/../first", "twice"}},
           {{"levels", "first", "--data", "large.npz"}, {"large.npz", "16", "8"}},
           {{"levels", "first", "--out", "tiny.yaml"}, {"tiny.yaml", "folder"}},
           {{"levels", "first", "--repeats", "0"}, {"--repeats"}},
           {{"curves", "first", "ddm", "--out", "c"}, {"model.predicts = noise", "density"}},
           {{"curves", "first", "--data", "many.npz", "--limit", "0"},
            {"--limit", "1200 curves", "1000"}},
           {{"toy", "first"}, {"data.kind = npz", "not known"}},
           {{"curves", "first", "--noise-levels", "22"}, {"22", "0..21"}},
           {{"denoise", "two"}, {"two levels"}},
           {{"denoise", "first", "--columns", "0"}, {"--columns"}}}) {
    const test::Finished done = tiny_.run("cdm-eval", call.arguments);
    EXPECT_EQ(done.exit_code, 2) << done.err;
    for (const std::string& text : call.named) EXPECT_THAT(done.err, HasSubstr(text));
    EXPECT_EQ(done.out, "");
  }
  EXPECT_FALSE(exists("c"));  // the second run was looked at before work on the first
}

}  // namespace
}  // namespace cdm
