// SPDX-License-Identifier: MIT
// cdm-eval: results are replaced only by those of the same evaluation.
#include <ATen/ops/full.h>
#include <gmock/gmock.h>

#include "cdm/io/image.h"
#include "eval_run.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using CdmEvalSettings = test::EvalRun;

TEST_F(CdmEvalSettings, KeepsTheResultsOfAnotherEvaluation) {
  train("first");
  const auto levels = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"levels", "first", "--limit", "4"});
    return tiny_.run("cdm-eval", more);
  };
  const auto refused = [&](const std::vector<std::string>& more) {
    const auto before = tiny_.contents();
    const test::Finished done = levels(more);
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_EQ(done.out, "");
    EXPECT_TRUE(tiny_.contents() == before) << "something was written";
    return done.err;
  };
  const test::Finished done = levels({"--out", "r"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("\ncheckpoint first/checkpoints/step-00000002, weights ema, "
                                  "data npz test split in "));
  EXPECT_EQ(json("r/levels.json")[0].at("checkpoint"), "first/checkpoints/step-00000002");
  EXPECT_EQ(json("r/levels.json")[0].at("weights"), "ema");
  EXPECT_THAT(test::read_text(tiny_ / "r/levels.csv"), HasSubstr(",checkpoint,weights,data\n"));
  // The same once more; where and how fast does not matter.
  EXPECT_EQ(levels({"--out", "./r", "--batch", "2", "--weights", "ema"}).exit_code, 0);
  EXPECT_EQ(json("r/levels.json").size(), 1u);
  EXPECT_THAT(refused({"--out", "r", "--split", "train"}),
              AllOf(HasSubstr("r/levels-settings.json"), HasSubstr("--split was test, is train"),
                    HasSubstr("--out")));
  EXPECT_THAT(refused({"--out", "r", "--weights", "model"}),
              HasSubstr("runs[0].weights was ema, is model; "));
  // An option that the program did not have when it wrote the settings was not given.
  change("r/levels-settings.json", [](nlohmann::json& settings) { settings.erase("--repeats"); });
  EXPECT_THAT(refused({"--out", "r", "--repeats", "2"}),
              HasSubstr("--repeats was not given, is 2; "));
  EXPECT_EQ(levels({"--out", "r"}).exit_code, 0);
  EXPECT_EQ(json("r/levels-settings.json").at("--repeats"), "1");
  // The arithmetic counts, wherever it is chosen.
  EXPECT_EQ(levels({"--out", "r", "--precision", "fp32"}).exit_code, 0);
  EXPECT_THAT(refused({"--out", "r", "--set", "precision=bf16"}),
              HasSubstr("runs[0].precision was fp32, is bf16; "));
  // Another subcommand has other files.
  tiny_.run_well("cdm-eval", {"denoise", "first", "--limit", "2", "--levels", "1", "--columns", "1",
                              "--out", "r"});
  // Another checkpoint.
  EXPECT_EQ(levels({}).exit_code, 0);
  train("first", {"train.iterations=4"});
  EXPECT_THAT(refused({"--out", "r"}),
              AllOf(HasSubstr("runs[0].checkpoint was "), HasSubstr("step-00000004; ")));
  EXPECT_EQ(levels({}).exit_code, 0);
  EXPECT_TRUE(exists("first/eval/step-00000002/levels.json"));
  EXPECT_EQ(json("first/eval/step-00000004/levels.json")[0].at("checkpoint"),
            "first/checkpoints/step-00000004");
}

TEST_F(CdmEvalSettings, KnowsDataByWhatTheyAreAndNotByHowTheyAreWritten) {
  train("first");
  const auto refused = [&](const test::Finished& done) {
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_EQ(done.out, "");
    return done.err;
  };
  // One path, seen from two working directories.
  const auto of_set = [&](const std::string& folder) {
    return run_in(folder, "cdm-eval",
                  {"levels", "../first", "--data", "set.npz", "--out", "../same"});
  };
  for (const char* const folder : {"d1", "d2"}) {
    std::filesystem::create_directories(tiny_ / folder);
    test::write_images(tiny_ / folder + "/set.npz", 4, false, folder[1]);
  }
  EXPECT_EQ(of_set("d1").exit_code, 0);
  EXPECT_EQ(of_set("d1").exit_code, 0);
  EXPECT_THAT(refused(of_set("d2")),
              AllOf(HasSubstr("runs[0].data was "), HasSubstr("d1/set.npz, is npz test split in "),
                    HasSubstr("d2/set.npz; ")));

  // One folder by four paths. What was done to its pictures is in the settings.
  write_pictures("pictures");
  std::filesystem::create_directory_symlink("pictures", tiny_ / "link");
  const auto of_pictures = [&](const std::string& path) {
    return tiny_.run("cdm-eval", {"levels", "first", "--data", path, "--resize", "--limit", "2",
                                  "--out", "spelt"});
  };
  for (const char* const path : {"pictures", "./pictures/", "d1/../pictures", "link"}) {
    const test::Finished done = of_pictures(path);
    EXPECT_EQ(done.exit_code, 0) << done.err;
  }
  EXPECT_THAT(json("spelt/levels-settings.json")["runs"][0]["conversion"].get<std::string>(),
              HasSubstr("16 x 16"));
  write_png(tiny_ / "pictures/0/more.png", at::full({1, 16, 16}, 7, at::kByte));
  EXPECT_THAT(refused(of_pictures("pictures")), HasSubstr("was resized 15 of 15 pictures"));

  // The run's own data, and what stands at the path that its configuration names.
  const auto of_run = [&](const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"levels", "first", "--limit", "2"};
    words.insert(words.end(), more.begin(), more.end());
    return tiny_.run("cdm-eval", words);
  };
  EXPECT_EQ(of_run().exit_code, 0);
  EXPECT_EQ(of_run({"--data", "test.npz"}).exit_code, 0);
  EXPECT_EQ(of_run({"--set", "data.test_path=" + tiny_ / "test.npz"}).exit_code, 0);
  replace("first/config.yaml", "/test.npz", "/plain.npz");
  EXPECT_THAT(refused(of_run()), AllOf(HasSubstr("runs[0].data was "), HasSubstr("/plain.npz; ")));
  replace("first/config.yaml", "/plain.npz", "/test.npz");
  test::write_images(tiny_ / "test.npz", 5, true);
  EXPECT_THAT(refused(of_run()), HasSubstr("runs[0].images was 32, is 5; "));
}

}  // namespace
}  // namespace cdm
