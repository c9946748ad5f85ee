// SPDX-License-Identifier: MIT
// The authors' numbers through the programs alone: cdm-convert makes a run of their checkpoint, of
// which cdm-sample draws and cdm-nll scores in float64.
#include <ATen/ops/empty.h>
#include <gmock/gmock.h>

#include <numbers>
#include <sstream>

#include "process.h"
#include "reference.h"

namespace cdm {
namespace {

constexpr double kTolerance = 1e-9;

/// Converts the case's checkpoint; the folder of the run.
std::string convert(const test::ReferenceCase& reference, const test::TemporaryFolder& folder) {
  const std::string run = folder / "run";
  EXPECT_EQ(test::run_well("cdm-convert", {reference.file("checkpoint.pth").string(), "--config",
                                           reference.file("config.yaml").string(), "--out", run}),
            run + "\n");
  return run;
}

/// "0,3,1", for --class.
std::string list(const at::Tensor& labels) {
  std::vector<std::string> words;
  for (std::int64_t i = 0; i < labels.size(0); ++i) {
    words.push_back(std::to_string(labels[i].item<std::int64_t>()));
  }
  return join(words, ",");
}

at::Tensor drawn(const test::ReferenceCase& reference, const test::SampleSetting& setting,
                 const std::string& start, const std::string& run, const std::string& raw) {
  std::vector<std::string> arguments = {run,
                                        "--device=cpu",
                                        "--precision=fp64",
                                        "--count",
                                        std::to_string(read_npy(start).size(0)),
                                        "--sampler",
                                        name_of(setting.config.sampler),
                                        "--steps",
                                        std::to_string(setting.config.steps),
                                        "--init-noise",
                                        start,
                                        "--raw",
                                        raw};
  if (setting.config.sampler == SamplerKind::ddpm) {
    arguments.insert(arguments.end(),
                     {"--step-noise", reference.file("sample_ddpm_noise.npy").string()});
  }
  if (setting.labels.defined()) {
    // The null class is asked for by naming none, so for all images or for none.
    if (setting.labels.eq(reference.config.model.num_classes).any().item<bool>()) return {};
    arguments.insert(arguments.end(), {"--class", list(setting.labels)});
  }
  EXPECT_EQ(test::run_well("cdm-sample", arguments), raw + "\n");
  return read_npy(raw);
}

TEST(ReferencePrograms, Samples) {
  for (const std::filesystem::path& folder : test::reference_folders()) {
    SCOPED_TRACE(folder.string());
    const test::ReferenceCase reference(folder);
    const test::TemporaryFolder work;
    const std::string run = convert(reference, work);
    test::expect_samples(
        reference, kTolerance, [&](const test::SampleSetting& setting, const std::string& start) {
          const at::Tensor images = drawn(reference, setting, start, run, work / "raw.npy");
          EXPECT_TRUE(!images.defined() || images.scalar_type() == at::kDouble);
          return images;
        });
  }
}

/// Columns of scores.csv, [3, N].
at::Tensor read_scores(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  EXPECT_THAT(line, testing::StartsWith("index,log_prob_nats,bits_per_dim"));
  std::vector<std::array<double, 3>> rows;
  while (std::getline(lines, line)) {
    std::array<double, 3>& row = rows.emplace_back();
    EXPECT_EQ(std::sscanf(line.c_str(), "%lf,%lf,%lf", row.data(), &row[1], &row[2]), 3) << line;
  }
  at::Tensor out = at::empty({3, static_cast<std::int64_t>(rows.size())}, at::kDouble);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (int column = 0; column < 3; ++column) {
      out[column][static_cast<std::int64_t>(i)] = rows[i][static_cast<std::size_t>(column)];
    }
  }
  return out;
}

TEST(ReferencePrograms, Likelihood) {
  for (const std::filesystem::path& folder : test::reference_folders()) {
    SCOPED_TRACE(folder.string());
    const test::ReferenceCase reference(folder);
    if (reference.nll.empty() || !reference.has("images.npz")) continue;
    const test::TemporaryFolder work;
    const std::string out = work / "scores.csv";
    const std::string printed =
        test::run_well("cdm-nll", {convert(reference, work), "--device=cpu", "--precision=fp64",
                                   "--data", reference.file("images.npz").string(), "--out", out});
    const at::Tensor scores = read_scores(test::read_text(out));
    const at::Tensor& log_prob = reference.nll.at("log_prob");
    test::expect_close(scores[1], log_prob, kTolerance, "log_prob_nats");

    // The authors count exactly 7 bits for the scaling of x = u / 127.5 - 1; the program, log2 of
    // the 127.5 steps that one unit of x holds.
    EXPECT_THAT(printed, testing::HasSubstr("offset_bits 6.994353"));
    const at::Tensor authors_bits = scores[2] + (7.0 - std::log2(127.5));
    test::expect_close(authors_bits, reference.nll.at("bits_per_dim"), kTolerance, "bits_per_dim");
  }
}

}  // namespace
}  // namespace cdm
