// SPDX-License-Identifier: MIT
// Several moving averages of the weights, as a user keeps, makes and chooses them.
#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/run/checkpoint.h"
#include "equal_checkpoints.h"
#include "messages.h"
#include "support.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using test::mentions;
using testing::ElementsAre;
using testing::HasSubstr;

class Averages : public testing::Test {
 protected:
  /// Trains for `steps` steps with averages of three widths, stored every second step.
  void train(const std::string& run, int steps = 20) const {
    const test::Finished done =
        tiny_.train("plain", run,
                    {concat("train.iterations=", steps), "train.ema_kind=power",
                     "train.ema_sigma_rel=[0.1, 0.05, 0.16]", "train.average_every=2",
                     "train.nll_every=0", "train.sample_every=0"});
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }
  test::Finished convert(const std::vector<std::string>& words) const {
    return tiny_.run("cdm-convert", words);
  }
  std::string scores(const std::vector<std::string>& words) const {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"--out", "scores.csv"});
    tiny_.run_well("cdm-nll", all);
    return test::read_text(tiny_ / "scores.csv");
  }

  test::TinyRun tiny_;
};

TEST_F(Averages, AreStoredAndGoOnToTheBitInAResumedRun) {
  train("run");
  EXPECT_THAT(test::names_in(tiny_ / "run/averages"),
              ElementsAre("step-00000002", "step-00000004", "step-00000006", "step-00000008",
                          "step-00000010", "step-00000012", "step-00000014", "step-00000016",
                          "step-00000018", "step-00000020"));
  EXPECT_THAT(test::names_in(tiny_ / "run/averages/step-00000006"),
              ElementsAre("ema.safetensors", "ema2.safetensors", "ema3.safetensors", "state.json"));
  train("other", 9);
  // As if the run had been killed a few steps after its checkpoint.
  std::filesystem::copy(tiny_ / "other/averages/step-00000002",
                        tiny_ / "other/averages/step-00000010");
  std::filesystem::create_directory(tiny_ / "other/averages/step-00000012.tmp-1");
  train("other");
  EXPECT_EQ(test::names_in(tiny_ / "other/averages"), test::names_in(tiny_ / "run/averages"));
  for (const char* const step : {"step-00000002", "step-00000010", "step-00000020"}) {
    for (const char* const name : {"ema", "ema2", "ema3"}) {
      const std::string file = concat("/averages/", step, "/", name, ".safetensors");
      EXPECT_TRUE(test::read_text(tiny_ / "run" + file) == test::read_text(tiny_ / "other" + file))
          << file;
    }
  }
}

TEST_F(Averages, OfAnyWidthAreMadeAfterTraining) {
  train("run");
  const std::string last = test::newest_checkpoint(tiny_ / "run");
  // A width that is kept is made exactly, up to rounding.
  const test::Finished made = convert({"run", "--sigma-rel", "0.16", "--out", "wide"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(made.out, "wide\n");
  EXPECT_THAT(made.err, HasSubstr("made of 30 averages"));
  const NamedTensors wide = read_weights(tiny_ / "wide", "ema");
  const NamedTensors kept = read_weights(last, "ema3");
  ASSERT_EQ(wide.size(), kept.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(wide[i].first, kept[i].first);
    EXPECT_EQ(wide[i].second.scalar_type(), at::kFloat);
    test::expect_close(wide[i].second, kept[i].second, 1e-4, wide[i].first);
  }
  EXPECT_EQ(read_checkpoint_config(tiny_ / "wide").train.ema_sigma_rel, std::vector<double>{0.16});
  EXPECT_EQ(read_checkpoint_step(tiny_ / "wide"), 20);

  // At an earlier step, only what was stored until then counts.
  const std::string early = concat("run/checkpoints/", checkpoint_name(10));
  const test::Finished file = convert({early, "--sigma-rel", "0.12", "--out", "early.safetensors"});
  ASSERT_EQ(file.exit_code, 0) << file.err;
  EXPECT_THAT(file.err, HasSubstr("made of 15 averages"));
}

TEST_F(Averages, AreScoredByName) {
  train("run");
  ASSERT_EQ(convert({"run", "--sigma-rel", "0.08", "--out", "made"}).exit_code, 0);
  const std::string first = scores({"run"});
  EXPECT_EQ(scores({"run", "--weights", "ema"}), first);
  const std::string second = scores({"run", "--weights", "ema2"});
  const std::string third = scores({"run", "--weights", "ema3"});
  const std::string own = scores({"made", "--data", "test.npz"});
  EXPECT_NE(first, second);
  EXPECT_NE(second, third);
  EXPECT_NE(own, first);
  const test::Finished none = tiny_.run("cdm-nll", {"run", "--weights", "ema4"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, mentions("no weights named ema4", "model, ema, ema2, ema3"));
}

TEST_F(Averages, AreRefusedWhereTheyCannotBeMade) {
  train("run", 2);
  const auto refused = [&](const std::vector<std::string>& words, const auto&... parts) {
    const test::Finished done = convert(words);
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_THAT(done.err, mentions(parts...));
  };
  refused({"run", "--sigma-rel", "0.1", "--out", "a.pth"}, "--out a.pth");
  refused({"run", "--sigma-rel", "0.1", "--out", "run"}, "--out run", "not overwritten");
  refused({"run", "--sigma-rel", "0.1", "--weights", "ema", "--out", "a"}, "--weights");
}

}  // namespace
}  // namespace cdm
