// SPDX-License-Identifier: MIT
// Every configuration in configs/: it parses, says what it is for and what it costs, dry-runs, and
// trains, samples and scores at a reduced width.
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "cdm/core/file.h"
#include "cdm/data/batches.h"
#include "cdm/diffusion/density.h"
#include "cdm/eval/nll.h"
#include "cdm/sample/sample.h"
#include "cdm/sample/sampler.h"
#include "cdm/train/learner.h"
#include "cdm/train/make_model.h"
#include "support.h"
#include "tiny_run.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

fs::path folder() { return fs::path(CDM_TEST_DATA).parent_path() / "configs"; }

std::vector<std::string> all_configs() {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder())) {
    if (entry.path().extension() == ".yaml") {
      names.push_back(fs::relative(entry.path(), folder()).string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The classification's loss at levels t of K where all logits are equal, in nats.
double undecided_cross_entropy(const RunConfig& config, const at::Tensor& t, std::int64_t K) {
  if (config.loss.kind == ObjectiveKind::cdm) return std::log(static_cast<double>(K));
  if (config.loss.kind == ObjectiveKind::nce) return std::log(2.0);
  // TRE: of the K - 1 pairs of neighbours, an end level is in one and any other level in two.
  const double pairs = 2.0 - t.eq(0).logical_or(t.eq(K - 1)).to(at::kDouble).mean().item<double>();
  return std::log(2.0) * 0.5 * pairs * static_cast<double>(K) / static_cast<double>(K - 1);
}

class EveryConfig : public testing::TestWithParam<std::string> {};

TEST_P(EveryConfig, SaysWhatItIsFor) {
  const std::string text = read_file(folder() / GetParam());
  EXPECT_EQ(text.substr(0, 2), "# ");
  if (!GetParam().starts_with("small/") && GetParam() != "quickstart.yaml") {
    EXPECT_THAT(text, testing::HasSubstr("ost: "));  // its cost
  }
}

TEST_P(EveryConfig, TrainsSamplesAndScoresAtAReducedWidth) {
  RunConfig config = load_config(folder() / GetParam());
  config.model.channels = 4;
  config.model.dropout = 0.0;
  config.train.batch_size = 2;
  config.train.micro_batch_size = 0;
  config.train.learning_rate = 1e-5;
  config.train.warmup = 0;
  if (config.data.channels == 0) config.data.channels = 3;
  config.data.image_size = config.model.kind == NetworkKind::mlp ? 4 : 16;
  config.sample.steps = std::min<std::int64_t>(config.sample.steps, 3);
  Learner learner(config, network_shape(config), at::kCPU);
  const at::Tensor pixels =
      test::numbers(1, {2, config.data.channels, config.data.image_size, config.data.image_size})
          .mul(60)
          .add(128)
          .clamp(0, 255)
          .to(at::kByte);
  const at::Tensor x0 = to_unit_range(pixels, at::kFloat);
  const at::Tensor labels = at::zeros({2}, at::kLong);
  const NoiseSchedule& schedule = learner.model().schedule();
  TrainingState untrained = learner.state();
  for (NamedTensors* const weights : {&untrained.model, &untrained.ema}) {
    test::zero_last_layer(*weights);
  }
  learner.restore(untrained, "untrained");

  // Whatever the network, it now takes the data for a standard normal, and a sampler that draws no
  // noise takes what it starts with to a multiple of it.
  if (schedule.levels() > 2) {
    const at::Tensor classes = config.model.num_classes > 0 ? labels : at::Tensor();
    const at::Tensor start = test::numbers(2, x0.sizes(), at::kFloat);
    const at::Tensor images = sample(learner.average(), config.sample, start, classes, {});
    ASSERT_EQ(images.sizes(), start.sizes());
    const double factor =
        (images * start).sum().item<double>() / start.square().sum().item<double>();
    EXPECT_GT(factor, 0.1);
    if (!make_sampler(config.sample)->traits().draws_noise) {
      test::expect_close(images, start * factor, 1e-4, "images");
    } else {
      EXPECT_GT(test::relative_error(images, start * factor), 1e-2) << "no noise was drawn";
    }
  }
  if (learner.average().has_density()) {
    test::expect_close(score_images(learner.average(), {}, pixels, {}).log_prob,
                       standard_normal_log_density(x0.to(at::kDouble)), 1e-5, "log p");
  }

  // The first loss is known, too, and a few steps on the same batch lower it.
  const StepInputs inputs = test::step_inputs(config, 0, x0, labels);
  const StepReport first = learner.step(inputs);
  if (!learner.average().has_density()) {
    EXPECT_NEAR(first["mse"].item<double>(), inputs["noise"].square().mean().item<double>(), 1e-4);
  } else {
    EXPECT_NEAR(first["ce"].item<double>(),
                undecided_cross_entropy(config, inputs["t"], schedule.levels()), 1e-4);
  }
  for (int step = 0; step < 4; ++step) learner.step(inputs);
  EXPECT_LT(learner.step(inputs)["loss"].item<double>(), first["loss"].item<double>());
}

TEST_P(EveryConfig, DryRunsOnImagesOfItsShape) {
  const RunConfig config = load_config(folder() / GetParam());
  const test::TemporaryFolder data;
  test::write_images(data / "images.npz", test::kImages, /*labels=*/true, /*seed=*/1,
                     std::max<std::int64_t>(config.data.image_size, test::kSize),
                     config.data.channels == 0 ? 3 : config.data.channels);
  std::vector<std::string> words = {(folder() / GetParam()).string(), "--dry-run"};
  const bool is_toy = config.data.kind == DataKind::toy;
  if (!is_toy) {
    words.insert(words.end(),
                 {"--set", "data.kind=npz", "--set", "data.test_path=" + (data / "images.npz")});
  }
  if (!is_toy || config.data.toy == ToyKind::gaussian) {
    words.insert(words.end(), {"--set", "data.path=" + (data / "images.npz")});
  }
  test::write_text(data / "printed.yaml", test::run_well("cdm-train", words));
  const auto printed = flatten(load_config(data / "printed.yaml"));
  for (const auto& [key, value] : flatten(config)) {
    if (key.starts_with("data.") || value == "[]") continue;  // settled by the data
    EXPECT_EQ(printed.at(key), value) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Configs, EveryConfig, testing::ValuesIn(all_configs()), [](const auto& name) {
      std::string plain = name.param;
      std::replace_if(
          plain.begin(), plain.end(),
          [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
      return plain;
    });

}  // namespace
}  // namespace cdm
