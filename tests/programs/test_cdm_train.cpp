// SPDX-License-Identifier: MIT
// cdm-train as a user runs it: what it writes, how it stops and goes on, what it refuses.
#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/io/image.h"
#include "cdm/run/checkpoint.h"
#include "config/keys.h"
#include "messages.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using test::expect_same_state;
using test::mentions;
using test::newest_checkpoint;
using test::wait_until;

constexpr const char* kEndless = "train.iterations=1000000000";

void wait_for_metrics(const std::string& run) {
  wait_until([&] { return test::read_text(run + "/metrics.jsonl").ends_with("}\n"); }, "metrics");
}

/// Losses and scores in the metrics of `step` and later ones.
std::map<std::string, double> numbers_from_step(const std::string& run, std::int64_t step) {
  std::map<std::string, double> found;
  for (const nlohmann::json& line : test::read_metrics(run)) {
    if (line.at("step") < step) continue;
    for (const char* name : {"loss", "gradient_norm", "test_bits_per_dim"}) {
      if (line.contains(name)) found[name + line.at("step").dump()] = line.at(name);
    }
  }
  return found;
}

TEST(CdmTrain, WritesTheWholeRun) {
  const test::TinyRun tiny;
  const test::Finished done = tiny.train("tiny", "run");
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.out, "run\n");
  const std::string run = tiny / "run";
  EXPECT_THAT(test::names_in(run), ElementsAre(".lock", "checkpoints", "config.yaml", "log.txt",
                                               "metrics.jsonl", "samples", "tensorboard"));

  const RunConfig config = load_config(run + "/config.yaml");
  EXPECT_EQ(config.data.image_size, test::kSize);
  EXPECT_EQ(config.data.channels, 1);
  EXPECT_EQ(config.data.path, tiny / "train.npz");
  EXPECT_EQ(config.train.keep_checkpoints, 3);

  EXPECT_THAT(test::names_in(run + "/checkpoints"),
              ElementsAre("step-00000010", "step-00000015", "step-00000020"));
  EXPECT_THAT(
      test::names_in(newest_checkpoint(run)),
      ElementsAre("ema.safetensors", "model.safetensors", "optimizer.safetensors", "state.json"));
  const TrainingState checkpoint = read_checkpoint(newest_checkpoint(run));
  EXPECT_EQ(checkpoint.step, 20);
  EXPECT_GT(checkpoint.seconds, 0.0);

  EXPECT_THAT(test::names_in(run + "/samples"),
              ElementsAre("step-00000010.png", "step-00000020.png"));
  // Four images in two rows of two, with two pixels around each.
  EXPECT_EQ(read_image(run + "/samples/step-00000020.png", 1).sizes(),
            at::IntArrayRef({1, 22, 22}));

  EXPECT_THAT(test::names_in(run + "/tensorboard"),
              ElementsAre(testing::StartsWith("events.out.tfevents.")));
  const std::string events =
      test::read_text(run + "/tensorboard/" + test::names_in(run + "/tensorboard")[0]);
  for (const char* tag :
       {"loss", "test_bits_per_dim", "test_gap_bits_per_dim", "samples", "\x89PNG"}) {
    EXPECT_THAT(events, HasSubstr(tag));
  }
  EXPECT_THAT(test::read_text(run + "/log.txt"), HasSubstr(" done: 20 steps in "));
  EXPECT_THAT(done.err, HasSubstr("done: 20 steps in "));
}

TEST(CdmTrain, WritesMetricsOfEveryLogStep) {
  const test::TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "run").exit_code, 0);
  std::vector<std::int64_t> logged;
  std::vector<std::int64_t> scored;
  for (const nlohmann::json& line : test::read_metrics(tiny / "run")) {
    const bool is_score = line.contains("test_bits_per_dim");
    (is_score ? scored : logged).push_back(line.at("step"));
    const std::vector<const char*> names =
        is_score ? std::vector{"test_bits_per_dim",
                               "test_bits_per_dim_standard_error",
                               "test_denoiser_bound_bits_per_dim",
                               "test_denoiser_bound_bits_per_dim_standard_error",
                               "test_gap_bits_per_dim_standard_error",
                               "seconds"}
                 : std::vector{"loss",
                               "ce",
                               "mse",
                               "accuracy",
                               "gradient_norm",
                               "learning_rate",
                               "images_per_second",
                               "seconds",
                               "memory_bytes"};
    for (const char* name : names) {
      EXPECT_TRUE(std::isfinite(line.at(name).get<double>())) << name;
      EXPECT_GT(line.at(name).get<double>(), name == std::string("accuracy") ? -1.0 : 0.0) << name;
    }
    if (is_score) {  // all test images have been seen, and the gap is that of the two means
      EXPECT_NEAR(line.at("test_gap_bits_per_dim").get<double>(),
                  line.at("test_bits_per_dim").get<double>() -
                      line.at("test_denoiser_bound_bits_per_dim").get<double>(),
                  1e-9);
      continue;
    }
    EXPECT_EQ(line.at("learning_rate").get<double>(), 1e-3);
    EXPECT_NEAR(line.at("loss").get<double>(),
                0.001 * line.at("ce").get<double>() + line.at("mse").get<double>(), 1e-5);
    EXPECT_LE(line.at("accuracy").get<double>(), 1.0);
    EXPECT_TRUE(line.contains("seconds_left"));
  }
  EXPECT_THAT(logged, ElementsAre(5, 10, 15, 20));
  EXPECT_THAT(scored, ElementsAre(10, 20));
}

TEST(CdmTrain, TellsTheNetworkOfAugmentationsAndScoresImagesThatHaveNone) {
  const test::TinyRun tiny;
  const std::vector<std::string> told = {"data.augment=0.3", "data.shift=2"};
  std::vector<std::string> half = told;
  half.emplace_back("train.iterations=10");
  ASSERT_EQ(tiny.train("unet", "whole", told).exit_code, 0);
  ASSERT_EQ(tiny.train("unet", "parts", half).exit_code, 0);
  ASSERT_EQ(tiny.train("unet", "parts", told).exit_code, 0);
  test::expect_same_state(tiny / "whole", tiny / "parts", 20);
  EXPECT_THAT(tiny.run_well("cdm-nll", {"whole"}), HasSubstr("bits_per_dim "));
  tiny.run_well("cdm-convert", {"whole", "--out", "weights.safetensors"});
  const test::Finished refused = tiny.run("cdm-convert", {"whole", "--out", "weights.pth"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("data.augment = 0.3: the authors' format has no place"));
  // Another probability is another run.
  const test::Finished changed = tiny.train("unet", "whole", {"data.augment=0.2", "data.shift=2"});
  EXPECT_EQ(changed.exit_code, 2);
  EXPECT_THAT(changed.err, HasSubstr("data.augment: 0.3 -> 0.2"));
}

TEST(CdmTrain, GoesOnWithTheVeryNumbersOfAnUninterruptedRun) {
  const test::TinyRun tiny;
  for (const char* config : {"unet", "tiny"}) {
    const std::string whole = std::string(config) + "-whole";
    const std::string parts = std::string(config) + "-parts";
    ASSERT_EQ(tiny.train(config, whole).exit_code, 0);
    ASSERT_EQ(tiny.train(config, parts, {"train.iterations=8"}).exit_code, 0);
    const test::Finished resumed = tiny.train(config, parts);
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr("going on from step 8 of "));
    expect_same_state(tiny / whole, tiny / parts, 20);

    const std::map<std::string, double> numbers = numbers_from_step(tiny / whole, 15);
    EXPECT_EQ(numbers.size(), 5U);
    EXPECT_EQ(numbers_from_step(tiny / parts, 15), numbers);
  }
}

TEST(CdmTrain, DequantisesWithNoiseOfItsOwnInEachStep) {
  const test::TinyRun tiny;
  const std::string setting = "data.dequantize=uniform";
  ASSERT_EQ(tiny.train("plain", "bare").exit_code, 0);
  ASSERT_EQ(tiny.train("plain", "whole", {setting}).exit_code, 0);
  ASSERT_EQ(tiny.train("plain", "parts", {setting, "train.iterations=7"}).exit_code, 0);
  ASSERT_EQ(tiny.train("plain", "parts", {setting}).exit_code, 0);
  expect_same_state(tiny / "whole", tiny / "parts", 20);
  EXPECT_NE(numbers_from_step(tiny / "whole", 15), numbers_from_step(tiny / "bare", 15));
}

TEST(CdmTrain, ScoresDataWithoutPixelsInNats) {
  const test::TinyRun tiny;
  const test::Finished done =
      tiny.train("plain", "run",
                 {"data.kind=toy", "data.toy=peaks", "data.toy_width=0.1", "data.toy_images=20",
                  "data.image_size=4", "data.channels=1", "train.sample_every=0"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, mentions("nats", "4 test images"));
  const auto lines = test::read_metrics(tiny / "run");
  EXPECT_TRUE(lines.back().contains("test_log_prob_nats"));
  EXPECT_FALSE(lines.back().contains("test_bits_per_dim"));
}

TEST(CdmTrain, SaysWhenThereIsNothingLeftToDo) {
  const test::TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "run").exit_code, 0);
  const std::string weights = test::read_text(newest_checkpoint(tiny / "run") + "/state.json");
  const test::Finished again = tiny.train("tiny", "run");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("done: 20 steps"));
  EXPECT_EQ(test::read_text(newest_checkpoint(tiny / "run") + "/state.json"), weights);
  EXPECT_EQ(test::read_metrics(tiny / "run").size(), 6U);
}

class CdmTrainStops : public testing::TestWithParam<std::pair<int, const char*>> {};

TEST_P(CdmTrainStops, AtASignalWithACheckpointFromWhichItGoesOn) {
  const auto& [signal, name] = GetParam();
  const test::TinyRun tiny;
  const std::string run = tiny / "run";
  test::Process process =
      tiny.start_training("tiny", "run", {kEndless, "train.checkpoint_every=0"});
  wait_for_metrics(run);
  process.send(signal);
  const test::Finished stopped = process.wait();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr(std::string(name) + ": saved step "));
  const std::int64_t step = read_checkpoint(newest_checkpoint(run)).step;
  EXPECT_GE(step, 5);
  EXPECT_THAT(stopped.err, HasSubstr("saved step " + std::to_string(step) + " of 1000000000"));
  EXPECT_EQ(test::names_in(run + "/checkpoints").size(), 1U);

  const std::string further = "train.iterations=" + std::to_string(step + 3);
  ASSERT_EQ(tiny.train("tiny", "run", {further}).exit_code, 0);
  ASSERT_EQ(tiny.train("tiny", "whole", {further}).exit_code, 0);
  expect_same_state(run, tiny / "whole", step + 3);
}

INSTANTIATE_TEST_SUITE_P(Signals, CdmTrainStops,
                         testing::Values(std::pair(SIGTERM, "SIGTERM"), std::pair(SIGINT, "SIGINT"),
                                         std::pair(SIGHUP, "SIGHUP")),
                         [](const auto& info) { return std::string(info.param.second); });

TEST(CdmTrain, SavesAtSigusr1AndGoesOn) {
  const test::TinyRun tiny;
  const std::string run = tiny / "run";
  test::Process process =
      tiny.start_training("tiny", "run", {kEndless, "train.checkpoint_every=0"});
  wait_for_metrics(run);
  EXPECT_EQ(newest_checkpoint(run), "");
  process.send(SIGUSR1);
  wait_until([&] { return !newest_checkpoint(run).empty(); }, "a checkpoint");
  const std::int64_t step = read_checkpoint(newest_checkpoint(run)).step;
  EXPECT_GE(step, 5);
  const std::string metrics = test::read_text(run + "/metrics.jsonl");
  wait_until([&] { return test::read_text(run + "/metrics.jsonl").size() > metrics.size() + 500; },
             "more metrics");
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 0);
  EXPECT_GT(read_checkpoint(newest_checkpoint(run)).step, step);
}

TEST(CdmTrain, StopsWhereNumbersAreNotFinite) {
  const test::TinyRun tiny;
  // The first step makes weights of 10, in so many layers that the next one overflows.
  const std::vector<std::string> bad = {"model.res_blocks=30", "train.learning_rate=10",
                                        "train.checkpoint_every=1", "train.log_every=100"};
  const test::Finished done = tiny.train("tiny", "run", bad);
  EXPECT_EQ(done.exit_code, 1);
  const std::string last = newest_checkpoint(tiny / "run");
  ASSERT_FALSE(last.empty()) << done.err;
  const std::int64_t good = read_checkpoint(last).step;
  EXPECT_THAT(done.err, mentions("error: step " + std::to_string(good + 1), "NaN or infinite",
                                 checkpoint_name(good), "train.learning_rate"));
  const std::string shown =
      tiny.run_well("cdm-train", {"tiny.yaml", "--run-dir", "run", "--set", bad[0], "--set", bad[1],
                                  "--replay-step", std::to_string(good + 1)});
  EXPECT_THAT(shown, HasSubstr("bad_gradient "));
  EXPECT_THAT(shown, HasSubstr("bad_row "));
  for (const auto& [name, tensor] : read_checkpoint(last).model) {
    EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
  }

  const test::Finished none =
      tiny.train("tiny", "other",
                 {"model.res_blocks=30", "train.learning_rate=10", "train.checkpoint_every=0"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("no checkpoint"));
  EXPECT_EQ(newest_checkpoint(tiny / "other"), "");
}

TEST(CdmTrain, RefusesToGoOnWithAnotherModel) {
  const test::TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "run", {"train.iterations=5"}).exit_code, 0);
  const auto before = tiny.contents();
  const test::Finished done =
      tiny.train("tiny", "run", {"model.channels=32", "loss.ce_weight=0.5", "train.log_every=7"});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, mentions("run/checkpoints/step-00000005", "model.channels: 16 -> 32",
                                 "loss.ce_weight: 0.001 -> 0.5"));
  EXPECT_THAT(done.err, Not(HasSubstr("log_every")));
  EXPECT_EQ(tiny.contents(), before);
}

TEST(CdmTrain, LetsOneProcessAtATimeTrainInAFolder) {
  const test::TinyRun tiny;
  test::Process first = tiny.start_training("tiny", "run", {kEndless});
  wait_for_metrics(tiny / "run");
  const test::Finished second = tiny.train("tiny", "run", {kEndless});
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.err, mentions("error: run:", "another process"));
  first.send(SIGKILL);
  EXPECT_EQ(first.wait().exit_code, 128 + SIGKILL);
  // The lock went with the process; what it left can be gone on with.
  const std::int64_t step = read_checkpoint(newest_checkpoint(tiny / "run")).step;
  const test::Finished third =
      tiny.train("tiny", "run", {"train.iterations=" + std::to_string(step + 1)});
  EXPECT_EQ(third.exit_code, 0) << third.err;
}

TEST(CdmTrain, LeavesOutAsManyBadStepsAsAllowed) {
  const test::TinyRun tiny;
  const test::Finished done =
      tiny.train("tiny", "run",
                 {"model.res_blocks=30", "train.learning_rate=10", "train.checkpoint_every=1",
                  "train.skip_bad_steps=3", "train.log_every=1", "train.iterations=1000"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, mentions("3 of train.skip_bad_steps = 3"));
  EXPECT_THAT(done.err, Not(HasSubstr("4 of train.skip_bad_steps")));
  EXPECT_EQ(test::read_metrics(tiny / "run").back().at("skipped_steps"), 3);
  std::istringstream lines(test::read_text(tiny / "run/skipped_steps.jsonl"));
  std::vector<nlohmann::json> bad;
  for (std::string line; std::getline(lines, line);) bad.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(bad.size(), 4U);
  EXPECT_EQ(bad[0].at("seed"), 0);
  EXPECT_TRUE(bad[0].at("loss").is_string() || bad[0].at("gradient_norm").is_string());
  std::int64_t images = 0;
  for (const auto& [level, count] : bad[0].at("levels").items()) images += count.get<int>();
  EXPECT_EQ(images, 8);
}

TEST(CdmTrain, TakesAStepAgain) {
  const test::TinyRun tiny;
  ASSERT_EQ(
      tiny.train("unet", "run",
                 {"train.log_every=1", "train.keep_checkpoints=0", "data.horizontal_flip=true"})
          .exit_code,
      0);
  const auto before = tiny.contents();
  const auto lines = test::read_metrics(tiny / "run");
  for (const std::int64_t step : {3, 6, 20}) {
    const std::string shown = tiny.run_well(
        "cdm-train", {"unet.yaml", "--run-dir", "run", "--set", "data.horizontal_flip=true",
                      "--replay-step", std::to_string(step)});
    EXPECT_THAT(shown, HasSubstr(step == 3   ? "from_step 0\n"
                                 : step == 6 ? "from_step 5\n"
                                             : "from_step 15\n"));
    EXPECT_THAT(shown, Not(HasSubstr("bad_")));
    const auto line = std::find_if(lines.begin(), lines.end(), [&](const auto& candidate) {
      return candidate.at("step") == step && candidate.contains("loss");
    });
    for (const std::string name : {"loss", "mse", "gradient_norm"}) {
      const std::size_t at = shown.find("\n" + name + " ");
      ASSERT_NE(at, std::string::npos);
      EXPECT_FLOAT_EQ(std::stof(shown.substr(at + name.size() + 2)), line->at(name).get<float>())
          << name << " of step " << step;
    }
  }
  EXPECT_EQ(tiny.contents(), before);
  const test::Finished none =
      tiny.run("cdm-train", {"unet.yaml", "--run-dir", "nowhere", "--replay-step", "1"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, mentions("--replay-step", "nowhere"));
  const test::Finished beyond =
      tiny.run("cdm-train", {"unet.yaml", "--run-dir", "run", "--replay-step", "21"});
  EXPECT_EQ(beyond.exit_code, 2) << "the run has 20 steps";
  EXPECT_THAT(beyond.err, mentions("--replay-step 21", "1..20"));
}

TEST(CdmTrain, SavesAfterMinutes) {
  const test::TinyRun tiny;
  test::Process training = tiny.start_training(
      "plain", "run", {kEndless, "train.checkpoint_every=0", "train.checkpoint_minutes=0.001"});
  wait_until([&] { return !newest_checkpoint(tiny / "run").empty(); }, "a checkpoint");
}

TEST(CdmTrain, PassesOverADamagedCheckpoint) {
  const test::TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "run").exit_code, 0);
  const std::string newest = newest_checkpoint(tiny / "run");
  test::write_text(newest + "/model.safetensors", "cut short");
  const test::Finished done = tiny.train("tiny", "run", {"train.iterations=21"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err,
              mentions("warning: run/checkpoints/step-00000020", "going on from step 15 of "));
  EXPECT_EQ(test::read_text(newest + ".damaged/model.safetensors"), "cut short");
  EXPECT_EQ(read_checkpoint(newest).step, 20);
}

TEST(CdmTrain, StopsInTime) {
  const test::TinyRun tiny;
  const test::Finished done =
      tiny.train("tiny", "run", {kEndless, "train.max_minutes=0.002", "train.nll_every=0"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("train.max_minutes"));
  EXPECT_NE(newest_checkpoint(tiny / "run"), "");
}

TEST(CdmTrain, LetsTheLearningRateFallWithinItsTime) {
  const test::TinyRun tiny;
  const test::Finished done =
      tiny.train("tiny", "run",
                 {kEndless, "train.max_minutes=0.04", "train.nll_every=0", "train.sample_every=0",
                  "train.checkpoint_every=0", "train.log_every=1",
                  "train.learning_rate_schedule=warmdown", "train.warmdown=1"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  std::vector<double> rates;
  for (const nlohmann::json& line : test::read_metrics(tiny / "run")) {
    rates.push_back(line.at("learning_rate"));
  }
  ASSERT_GE(rates.size(), 3U);
  EXPECT_TRUE(std::is_sorted(rates.rbegin(), rates.rend()));
  EXPECT_GT(rates.front(), 0.7e-3);
  EXPECT_LT(rates.back(), 0.3e-3);
}

TEST(CdmTrain, HelpConfigNamesEveryKey) {
  const test::TinyRun tiny;
  const std::string text = tiny.run_well("cdm-train", {"--help-config"});
  const std::string page = tiny.run_well("cdm-train", {"--help-config", "--markdown"});
  for (const Key& key : config_keys()) {
    const std::string value = key.default_text();
    const std::string cell = key.default_words.empty() ? "`" + value + "`" : value;
    EXPECT_THAT(text, HasSubstr(key.name + ": " + value));
    EXPECT_THAT(page, HasSubstr("| `" + key.name + "` | " + cell + " |"));
  }
}

TEST(CdmTrain, TakesDataBesideTheConfigurationAndNamesTheRunAfterIt) {
  const test::TinyRun tiny;
  const test::TemporaryFolder elsewhere;
  const std::string out =
      test::run_well("cdm-train", {tiny / "tiny.yaml", "--set", "train.iterations=1"},
                     {.folder = elsewhere.path().string(), .environment = {}});
  EXPECT_EQ(out, "runs/tiny\n");
  EXPECT_THAT(test::names_in(elsewhere / "runs/tiny/checkpoints"), ElementsAre("step-00000001"));
}

TEST(CdmTrain, NeverWritesWhatIsTurnedOff) {
  const test::TinyRun tiny;
  ASSERT_EQ(tiny.train("tiny", "run",
                       {"train.log_every=0", "train.sample_every=0", "train.nll_every=0",
                        "train.checkpoint_every=0", "data.test_path=null"})
                .exit_code,
            0);
  EXPECT_EQ(test::read_text(tiny / "run/metrics.jsonl"), "");
  EXPECT_THAT(test::names_in(tiny / "run/samples"), IsEmpty());
  EXPECT_THAT(test::names_in(tiny / "run/checkpoints"), ElementsAre("step-00000020"));
  EXPECT_THAT(newest_checkpoint(tiny / "run"), EndsWith("step-00000020"));
}

}  // namespace
}  // namespace cdm
