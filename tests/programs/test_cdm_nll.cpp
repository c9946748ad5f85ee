// SPDX-License-Identifier: MIT
// cdm-nll as a user runs it: its table, its summary, and what its options change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numbers>
#include <sstream>

#include "cdm/data/batches.h"
#include "cdm/eval/nll.h"
#include "cdm/io/image.h"
#include "messages.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kDimensions = test::kSize * test::kSize;

struct Row {
  std::int64_t index = 0;
  double nats = 0.0, bits = 0.0;
  std::int64_t label = -1;
};

/// One call's table and what it printed.
struct Scores {
  std::string header, out, err;
  std::vector<Row> rows;

  std::vector<double> nats() const {
    std::vector<double> values;
    for (const Row& row : rows) values.push_back(row.nats);
    return values;
  }
  /// The number after `name` and `before` other words in the line of the summary that has it.
  double printed(const std::string& name, int before = 0) const {
    std::istringstream lines(out);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string word;
      if (!(words >> word) || word != name) continue;
      for (int i = 0; i < before; ++i) words >> word;
      double value = std::nan("");
      words >> value;
      return value;
    }
    return std::nan("");
  }
};

class CdmNll : public testing::Test {
 protected:
  void train(const std::string& config, const std::vector<std::string>& settings = {}) const {
    const test::Finished done = tiny_.train(config, "run", settings);
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }

  Scores score(std::vector<std::string> arguments = {}) const {
    arguments.insert(arguments.begin(), {"run", "--out", "scores.csv"});
    const test::Finished done = tiny_.run("cdm-nll", arguments);
    EXPECT_EQ(done.exit_code, 0) << done.err;
    Scores scores = {.header = {}, .out = done.out, .err = done.err, .rows = {}};
    std::istringstream table(test::read_text(tiny_ / "scores.csv"));
    std::getline(table, scores.header);
    for (std::string line; std::getline(table, line);) {
      Row row;
      char comma = ' ';
      std::istringstream fields(line);
      fields >> row.index >> comma >> row.nats >> comma >> row.bits;
      EXPECT_FALSE(fields.fail()) << line;
      if (fields >> comma) fields >> row.label;
      EXPECT_EQ(row.index, static_cast<std::int64_t>(scores.rows.size()));
      scores.rows.push_back(row);
    }
    return scores;
  }

  test::TinyRun tiny_;
};

void expect_near(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << i;
}

TEST_F(CdmNll, SummaryAgreesWithTheTable) {
  train("tiny");
  const Scores scores = score();
  EXPECT_EQ(scores.header, "index,log_prob_nats,bits_per_dim,label");
  ASSERT_EQ(scores.rows.size(), static_cast<std::size_t>(test::kImages));
  double sum = 0.0;
  double squares = 0.0;
  for (const Row& row : scores.rows) {
    EXPECT_NEAR(row.bits, std::log2(127.5) - row.nats / (kDimensions * std::numbers::ln2), 1e-12);
    EXPECT_EQ(row.label, row.index % test::kClasses);
    sum += row.bits;
    squares += row.bits * row.bits;
  }
  const auto count = static_cast<double>(test::kImages);
  const double mean = sum / count;
  const double error = std::sqrt((squares / count - mean * mean) / (count - 1.0));
  constexpr double kPrinted = 0.51e-4;
  EXPECT_NEAR(scores.printed("bits_per_dim"), mean, kPrinted);
  EXPECT_NEAR(scores.printed("bits_per_dim", 2), error, kPrinted);
  EXPECT_NEAR(scores.printed("bits_per_dim", 4), mean - 1.96 * error, kPrinted);
  EXPECT_NEAR(scores.printed("bits_per_dim", 5), mean + 1.96 * error, kPrinted);
  EXPECT_GT(error, 1e-3);
  EXPECT_EQ(scores.printed("images"), test::kImages);
  EXPECT_NEAR(scores.printed("offset_bits"), std::log2(127.5), 1e-6);
  EXPECT_THAT(scores.out, HasSubstr("checkpoint run/checkpoints/step-00000020\n"));
  EXPECT_THAT(scores.out, test::mentions("log2", "127.5"));
  // The summary ends with what was asked for.
  EXPECT_EQ(scores.out.rfind("\nbits_per_dim "), scores.out.rfind('\n', scores.out.size() - 2));
}

TEST_F(CdmNll, KnowsTheDensityOfPureNoiseExactly) {
  train("plain");
  const Scores scores = score({"--level", "21", "--precision", "fp64"});  // T + 1
  const at::Tensor x = to_unit_range(read_npz(tiny_ / "test.npz", "arr_0"), at::kDouble);
  for (const Row& row : scores.rows) {
    const double expected = -0.5 * x[row.index].square().sum().item<double>() -
                            0.5 * kDimensions * std::log(2.0 * std::numbers::pi);
    EXPECT_NEAR(row.nats, expected, 1e-9);
  }
  EXPECT_EQ(scores.printed("level"), 21);
  EXPECT_NE(score({"--level", "20"}).nats(), score().nats());
}

TEST_F(CdmNll, NamesTheFilesOfAFolder) {
  train("plain");
  EXPECT_THAT(score().header, Not(HasSubstr("file")));
  const at::Tensor images = read_npz(tiny_ / "test.npz", "arr_0").permute({0, 3, 1, 2});
  const std::vector<std::string> names = {"2.png", "10.png", "a, b.png", "a \"b\".png"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::filesystem::create_directories(tiny_ / "pictures");
    write_png(tiny_ / ("pictures/" + names[i]), images[static_cast<std::int64_t>(i)]);
  }
  const Scores scores =
      score({"--data", "pictures"});  // all of them, though there is no test split
  EXPECT_EQ(scores.header, "index,log_prob_nats,bits_per_dim,file");
  ASSERT_EQ(scores.rows.size(), 4U);
  EXPECT_THAT(
      test::read_text(tiny_ / "scores.csv"),
      test::mentions(",2.png\n1,", ",10.png\n2,", ",\"a \"\"b\"\".png\"\n3,", ",\"a, b.png\"\n"));
  EXPECT_EQ(scores.out.substr(scores.out.find("images")).substr(0, 9), "images 4\n");
}

TEST_F(CdmNll, AveragesOverDrawsOfTheDequantisation) {
  train("plain", {"data.horizontal_flip=false"});
  const std::vector<std::string> uniform = {"--dequantize", "uniform", "--precision", "fp64"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), uniform.begin(), uniform.end());
    return score(more);
  };
  const Scores one = with({});
  EXPECT_NE(one.nats(), score({"--precision", "fp64"}).nats());
  EXPECT_EQ(with({}).nats(), one.nats());
  EXPECT_EQ(with({"--draws", "1", "--seed", "0"}).nats(), one.nats());
  EXPECT_NE(with({"--seed", "1"}).nats(), one.nats());
  expect_near(with({"--batch", "5"}).nats(), one.nats(), 1e-9);
  EXPECT_NEAR(one.printed("offset_bits"), 7.0, 1e-6);
  EXPECT_THAT(one.out, HasSubstr("dequantize uniform draws 1\n"));
  for (const Row& row : one.rows) {
    EXPECT_NEAR(row.bits, 7.0 - row.nats / (kDimensions * std::numbers::ln2), 1e-12);
  }

  // The spread between seeds falls with the square root of the number of draws.
  const auto spread = [&](const char* draws) {
    const std::vector<double> a = with({"--draws", draws, "--seed", "1"}).nats();
    const std::vector<double> b = with({"--draws", draws, "--seed", "2"}).nats();
    double squares = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
    return std::sqrt(squares);
  };
  const double ratio = spread("1") / spread("100");
  EXPECT_GT(ratio, 5.0);
  EXPECT_LT(ratio, 20.0);
}

TEST_F(CdmNll, DequantisesAsTheRunDidAndWarnsWhereAskedOtherwise) {
  train("plain");
  EXPECT_THAT(score().out, HasSubstr("dequantize none draws 1"));
  EXPECT_THAT(score({"--dequantize", "none"}).err, Not(HasSubstr("warning")));
  EXPECT_THAT(score({"--dequantize", "uniform"}).err,
              test::mentions("warning: --dequantize uniform", "data.dequantize = none"));
  std::filesystem::remove_all(tiny_ / "run");
  train("plain", {"data.dequantize=uniform"});
  const Scores trained = score({"--draws", "4"});
  EXPECT_THAT(trained.out, HasSubstr("dequantize uniform draws 4"));
  EXPECT_THAT(trained.err, Not(HasSubstr("warning")));
  EXPECT_THAT(score({"--dequantize", "none"}).err, HasSubstr("data.dequantize = uniform"));
  // The importance-weighted bound is the tighter one.
  EXPECT_LE(trained.printed("importance_weighted_bits_per_dim"), trained.printed("bits_per_dim"));
  EXPECT_THAT(trained.header, testing::EndsWith("label,importance_weighted_nats"));
}

TEST_F(CdmNll, ChecksTheDensityAgainstTheDenoiser) {
  train("tiny");
  const Scores scores = score({"--check", "3"});
  EXPECT_EQ(scores.header, "index,log_prob_nats,bits_per_dim,label,denoiser_bound_nats");
  EXPECT_EQ(scores.rows.size(), static_cast<std::size_t>(test::kImages));
  const double claimed = scores.printed("bits_per_dim");
  const double bound = scores.printed("denoiser_bound_bits_per_dim");
  const double gap = scores.printed("gap_bits_per_dim");
  EXPECT_NEAR(gap, claimed - bound, 1.1e-4);
  EXPECT_GT(scores.printed("gap_bits_per_dim", 2), 0.0);
  const nlohmann::json settings = nlohmann::json::parse(test::read_text(tiny_ / "scores.csv.json"));
  EXPECT_EQ(settings.at("check"), 3);
  EXPECT_NEAR(settings.at("means").at("gap_bits_per_dim").at("mean"), gap, 0.51e-4);
  EXPECT_THAT(score().header, Not(HasSubstr("bound")));
  const test::Finished refused = tiny_.run("cdm-nll", {"run", "--check", "1", "--level", "3"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, test::mentions("--check", "--level 0"));
}

TEST_F(CdmNll, GivesASingleImageNoInterval) {
  train("plain");
  const std::string out = score({"--limit", "1"}).out;
  EXPECT_THAT(out, HasSubstr("bits_per_dim "));
  EXPECT_THAT(out, Not(HasSubstr("standard_error")));
}

TEST_F(CdmNll, ScoresWhatItIsAskedTo) {
  train("plain");
  const std::vector<double> test = score().nats();
  EXPECT_EQ(score({"--split", "test", "--batch", "32"}).nats(), test);
  const std::vector<double> spread = score({"--limit", "5"}).nats();  // of 32
  expect_near(spread, {test[0], test[6], test[12], test[19], test[25]}, 1e-3);
  EXPECT_EQ(score({"--limit", "1000"}).nats(), test);
  expect_near(score({"--batch", "3"}).nats(), test, 1e-3);

  const std::vector<double> train_split = score({"--split", "train"}).nats();
  EXPECT_NE(train_split, test);
  EXPECT_EQ(score({"--data", "train.npz"}).nats(), train_split);
  EXPECT_NE(score({"--weights", "model"}).nats(), test);

  const Scores unlabelled = score({"--data", "plain.npz"});
  EXPECT_EQ(unlabelled.header, "index,log_prob_nats,bits_per_dim");
  EXPECT_EQ(unlabelled.rows[0].label, -1);

  const std::string csv = test::read_text(tiny_ / "scores.csv");
  std::filesystem::remove(tiny_ / "scores.csv");
  EXPECT_EQ(tiny_.run_well("cdm-nll", {"run", "--data", "plain.npz"}), unlabelled.out);
  EXPECT_FALSE(std::filesystem::exists(tiny_ / "scores.csv"));
}

TEST_F(CdmNll, AsksAConditionalModelWithTheLabels) {
  train("tiny", {"train.learning_rate=0.01"});
  // The same images as in test.npz, with other labels, and with none.
  const at::Tensor images = read_npz(tiny_ / "test.npz", "arr_0");
  const auto write = [&](const char* name, const at::Tensor& labels) {
    NpzWriter npz(tiny_ / name);
    npz.write("arr_0", images);
    if (labels.defined()) npz.write("arr_1", labels);
    npz.close();
  };
  write("other.npz", at::arange(test::kImages, at::kLong).add(1).remainder(test::kClasses));
  write("none.npz", {});
  const Scores right = score();
  const Scores none = score({"--data", "none.npz"});
  EXPECT_NE(score({"--data", "other.npz"}).nats(), right.nats());
  EXPECT_NE(none.nats(), right.nats());
  EXPECT_THAT(none.err, test::mentions("none.npz", "no labels", "null class"));
  EXPECT_THAT(right.err, Not(HasSubstr("warning")));
}

TEST_F(CdmNll, ComparesWithAGaussian) {
  train("plain");
  EXPECT_TRUE(std::isnan(score().printed("gaussian_bits_per_dim")));
  const Scores scores = score({"--gaussian"});
  const auto images = [&](const char* file) {
    return read_npz(tiny_ / file, "arr_0").permute({0, 3, 1, 2}).contiguous();
  };
  const MeanEstimate expected = estimate_mean(
      gaussian_bits_per_dim(images("train.npz"), images("test.npz"), Dequantization::none));
  EXPECT_NEAR(scores.printed("gaussian_bits_per_dim"), expected.mean, 1e-4);
  EXPECT_NEAR(scores.printed("gaussian_bits_per_dim", 2), expected.standard_error, 1e-4);
}

}  // namespace
}  // namespace cdm
