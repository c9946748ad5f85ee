// SPDX-License-Identifier: MIT
// cdm-sample as a user runs it: the files it writes, and one seed per image.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numbers>

#include "arrays.h"
#include "cdm/config/config.h"
#include "cdm/data/batches.h"
#include "cdm/diffusion/schedule.h"
#include "cdm/io/image.h"
#include "cdm/io/npy.h"
#include "cdm/run/checkpoint.h"
#include "support.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A trained run and calls of cdm-sample on it.
class CdmSample : public testing::Test {
 protected:
  void train(const std::string& config, const std::vector<std::string>& settings = {}) const {
    const test::Finished done = tiny_.train(config, "run", settings);
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }

  /// The images of one call, float [n, C, H, W], not clamped.
  at::Tensor raw(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"run", "--raw", "raw.npy"});
    tiny_.run_well("cdm-sample", arguments);
    return read_npy(tiny_ / "raw.npy");
  }

  test::TinyRun tiny_;
};

/// Whether two sets of images are the same up to the rounding of another order of summation.
bool same(const at::Tensor& a, const at::Tensor& b) { return test::relative_error(a, b) < 1e-4; }

TEST_F(CdmSample, WritesArraysPictureAndSettings) {
  train("plain");
  const std::string out =
      tiny_.run_well("cdm-sample", {"run", "-n", "5", "--out", "images.npz", "--grid", "grid.png",
                                    "--raw", "raw.npy", "--zoom", "3", "--seed", "4"});
  EXPECT_EQ(out, "images.npz\ngrid.png\nraw.npy\n");

  const at::Tensor raw_images = read_npy(tiny_ / "raw.npy");
  EXPECT_EQ(raw_images.sizes(), at::IntArrayRef({5, 1, 8, 8}));
  EXPECT_EQ(raw_images.scalar_type(), at::kFloat);
  EXPECT_TRUE(raw_images.isfinite().all().item<bool>());
  EXPECT_GT(raw_images.std().item<double>(), 0.1);

  EXPECT_THAT(npz_names(tiny_ / "images.npz"), ElementsAre("arr_0"));
  const at::Tensor pixels = read_npz(tiny_ / "images.npz", "arr_0");
  EXPECT_EQ(pixels.sizes(), at::IntArrayRef({5, 8, 8, 1}));
  EXPECT_TRUE(at::equal(pixels, to_pixels(raw_images).permute({0, 2, 3, 1})));

  // Five images in two rows of three.
  const at::Tensor grid = read_image(tiny_ / "grid.png", 1);
  EXPECT_TRUE(at::equal(grid, make_grid(to_pixels(raw_images), 3, 3)));

  const auto settings = nlohmann::json::parse(test::read_text(tiny_ / "images.npz.json"));
  EXPECT_THAT(settings.at("checkpoint"), HasSubstr("step-00000020"));
  EXPECT_EQ(settings.at("seed"), 4);
  EXPECT_EQ(settings.at("count"), 5);
  EXPECT_EQ(settings.at("sampler"), "ddim");
  EXPECT_EQ(settings.at("steps"), 10);
  EXPECT_EQ(settings.at("weights"), "ema");
}

TEST_F(CdmSample, DrawsTheSameImageInEveryBatch) {
  train("unet", {"train.iterations=3"});
  for (const char* sampler :
       {"ddpm", "ddim", "dpm_solver_2", "dpm_solver_pp_2m", "heun", "euler"}) {
    const auto draw = [&](const char* count, const char* first, const char* batch) {
      return raw({"--sampler", sampler, "--steps", "4", "-n", count, "--first-image", first,
                  "--batch", batch});
    };
    const at::Tensor all = draw("7", "0", "64");
    EXPECT_TRUE(same(draw("7", "0", "1"), all)) << sampler;
    EXPECT_TRUE(same(draw("7", "0", "3"), all)) << sampler;
    EXPECT_TRUE(same(draw("2", "5", "2"), all.narrow(0, 5, 2))) << sampler;
    EXPECT_FALSE(same(all[0], all[1])) << sampler;
  }
}

TEST_F(CdmSample, FollowsItsOptions) {
  train("plain");
  const at::Tensor base = raw({"-n", "3"});
  EXPECT_TRUE(at::equal(raw({"-n", "3"}), base));
  EXPECT_TRUE(at::equal(raw({"-n", "3", "--sampler", "ddim", "--steps", "10", "--spacing",
                             "leading", "--seed", "0", "--weights", "ema", "--device", "cpu"}),
                        base));
  for (const auto& [option, value] :
       {std::pair("--seed", "1"), std::pair("--sampler", "ddpm"), std::pair("--steps", "5"),
        std::pair("--spacing", "trailing"), std::pair("--weights", "model"),
        std::pair("--set", "sample.steps=20")}) {
    EXPECT_FALSE(at::equal(raw({"-n", "3", option, value}), base)) << option;
  }
  EXPECT_TRUE(same(raw({"-n", "3", "--precision", "fp64"}), base));

  const std::string older = "run/checkpoints/step-00000010";
  tiny_.run_well("cdm-sample", {older, "-n", "3", "--raw", "older.npy"});
  EXPECT_FALSE(same(read_npy(tiny_ / "older.npy"), base));
}

TEST_F(CdmSample, TakesClassesInTurnAndGuidesTowardsThem) {
  train("tiny", {"train.learning_rate=0.01"});
  tiny_.run_well("cdm-sample",
                 {"run", "-n", "5", "--class", "2,0", "--out", "images.npz", "--first-image", "1"});
  EXPECT_THAT(npz_names(tiny_ / "images.npz"), ElementsAre("arr_0", "arr_1"));
  EXPECT_TRUE(at::equal(read_npz(tiny_ / "images.npz", "arr_1"),
                        at::arange(5, at::kLong).remainder(2).mul(2)));  // images 1, 2, ...: 0, 2

  const at::Tensor none = raw({"-n", "4"});
  const at::Tensor zero = raw({"-n", "4", "--class", "0"});
  const at::Tensor one = raw({"-n", "4", "--class", "1"});
  const at::Tensor turns = raw({"-n", "4", "--class", "0,1"});
  EXPECT_FALSE(same(zero, none));
  EXPECT_FALSE(same(zero, one));
  EXPECT_TRUE(same(turns[0], zero[0]));
  EXPECT_TRUE(same(turns[1], one[1]));
  EXPECT_TRUE(
      same(raw({"-n", "2", "--class", "0,1", "--first-image", "1"}), turns.narrow(0, 1, 2)));

  EXPECT_TRUE(at::equal(raw({"-n", "4", "--class", "0", "--guidance", "0"}), zero));
  const at::Tensor guided = raw({"-n", "4", "--class", "0", "--guidance", "2"});
  EXPECT_FALSE(same(guided, zero));
  EXPECT_TRUE(at::equal(
      raw({"-n", "4", "--class", "0", "--set", "sample.guidance=2", "--sampler", "ddim"}), guided));
}

TEST_F(CdmSample, SamplersDiffer) {
  train("plain");
  std::vector<at::Tensor> drawn;
  for (const char* sampler : {"ddpm", "ddim", "dpm_solver_2", "dpm_solver_pp_2m", "heun"}) {
    drawn.push_back(raw({"-n", "2", "--sampler", sampler}));
    for (std::size_t i = 0; i + 1 < drawn.size(); ++i) EXPECT_FALSE(same(drawn[i], drawn.back()));
  }
  EXPECT_TRUE(same(raw({"-n", "2", "--sampler", "euler"}), drawn[1]));
  EXPECT_TRUE(same(raw({"-n", "2", "--sampler", "ddim", "--eta", "1"}), drawn[0]));
  EXPECT_FALSE(same(raw({"-n", "2", "--sampler", "ddim", "--eta", "0.5"}), drawn[1]));
}

TEST_F(CdmSample, WritesTheWholeTrajectory) {
  train("plain");
  const at::Tensor images =
      raw({"-n", "3", "--steps", "4", "--batch", "2", "--trajectory", "path.npz"});
  EXPECT_THAT(npz_names(tiny_ / "path.npz"), ElementsAre("levels", "x_t", "x_0"));
  const at::Tensor x_t = read_npz(tiny_ / "path.npz", "x_t");
  const at::Tensor x_0 = read_npz(tiny_ / "path.npz", "x_0");
  EXPECT_TRUE(at::equal(read_npz(tiny_ / "path.npz", "levels"),
                        at::tensor(std::vector<std::int64_t>{16, 11, 6, 1, 0}, at::kLong)));
  EXPECT_EQ(x_t.sizes(), at::IntArrayRef({3, 5, 1, 8, 8}));
  EXPECT_EQ(x_0.sizes(), at::IntArrayRef({3, 4, 1, 8, 8}));
  EXPECT_TRUE(at::equal(x_t.select(1, 4), images));
  EXPECT_TRUE(at::equal(x_0.select(1, 3), images));
  // What it began with begins it again.
  test::write_npy(tiny_ / "start.npy", x_t.select(1, 0).contiguous());
  EXPECT_TRUE(same(raw({"-n", "3", "--steps", "4", "--init-noise", "start.npy"}), images));
}

/// Zeroes the last layer of the run's newest checkpoint.
void untrain(const std::string& run) {
  const std::filesystem::path newest = test::newest_checkpoint(run);
  TrainingState state = read_checkpoint(newest);
  for (NamedTensors* const weights : {&state.model, &state.ema}) test::zero_last_layer(*weights);
  write_checkpoint(newest.parent_path(), state, read_checkpoint_config(newest));
}

/// What a step of DDIM from level t to level s multiplies images of the untrained model by. To it,
/// the data are a standard normal: eps = sigma x_t. A plain denoiser predicts eps = 0.
double ddim_factor(const NoiseSchedule& schedule, std::int64_t t, std::int64_t s, bool is_ddm) {
  const std::int64_t asked = schedule.denoising_level(t);  // the reference level shows no image
  const double sigma = schedule.sigma(asked);
  const double x0 = (is_ddm ? 1.0 : 1.0 - sigma * sigma) / schedule.signal(asked);
  const double eps = (1.0 - schedule.signal(t) * x0) / schedule.sigma(t);
  return schedule.signal(s) * x0 + schedule.sigma(s) * eps;
}

TEST_F(CdmSample, DrawsFromEverySystem) {
  const std::vector<std::vector<std::string>> systems = {
      {"model.predicts=noise", "loss.kind=denoising"},
      {"diffusion.schedule=flow_matching", "sample.sampler=euler", "sample.steps=20"},
      {"diffusion.schedule=uniform"},
      {"diffusion.schedule=cosine"},
      {"loss.kind=tre"}};
  for (const std::vector<std::string>& settings : systems) {
    std::vector<std::string> all = {"train.iterations=2"};
    all.insert(all.end(), settings.begin(), settings.end());
    SCOPED_TRACE(settings[0]);
    train("unet", all);
    untrain(tiny_ / "run");
    const at::Tensor images = raw({"-n", "2", "--trajectory", "path.npz"});
    const at::Tensor start = read_npz(tiny_ / "path.npz", "x_t").select(1, 0);
    const at::Tensor levels = read_npz(tiny_ / "path.npz", "levels");
    const bool is_ddm = settings[0] == "model.predicts=noise";
    const NoiseSchedule schedule(load_config(tiny_ / "run/config.yaml").diffusion);
    double factor = 1.0;
    for (std::int64_t i = 0; i + 1 < levels.size(0); ++i) {
      factor *= ddim_factor(schedule, levels[i].item<std::int64_t>(),
                            levels[i + 1].item<std::int64_t>(), is_ddm);
    }
    test::expect_close(images, start * factor, 1e-4, "images");

    const test::Finished scored = tiny_.run("cdm-nll", {"run", "--limit", "1", "--out", "p.csv"});
    EXPECT_EQ(scored.exit_code, is_ddm ? 2 : 0) << scored.err;
    EXPECT_EQ(scored.err.find("no density") != std::string::npos, is_ddm) << scored.err;
    if (!is_ddm) {
      const at::Tensor x = to_unit_range(read_npz(tiny_ / "test.npz", "arr_0")[0], at::kDouble);
      const double log_density =
          -0.5 * x.square().sum().item<double>() -
          0.5 * static_cast<double>(x.numel()) * std::log(2.0 * std::numbers::pi);
      const std::string table = test::read_text(tiny_ / "p.csv");
      EXPECT_NEAR(std::stod(table.substr(table.find("\n0,") + 3)), log_density, 1e-3);
    }
    std::filesystem::remove_all(tiny_ / "run");
  }
}

TEST_F(CdmSample, TakesGivenNoise) {
  train("plain");
  const at::Tensor start = test::numbers(5, {3, 1, 8, 8});
  test::write_npy(tiny_ / "start.npy", start.to(at::kFloat));
  const at::Tensor drawn = raw({"-n", "3", "--init-noise", "start.npy"});
  EXPECT_FALSE(same(drawn, raw({"-n", "3"})));
  EXPECT_TRUE(same(raw({"-n", "3", "--init-noise", "start.npy", "--batch", "2"}), drawn));

  test::write_npy(tiny_ / "steps.npy", test::numbers(6, {10, 3, 1, 8, 8}));
  const std::vector<std::string> ddpm = {"-n",           "3",         "--init-noise", "start.npy",
                                         "--step-noise", "steps.npy", "--sampler",    "ddpm"};
  const at::Tensor stepped = raw(ddpm);
  EXPECT_FALSE(same(stepped, raw({"-n", "3", "--init-noise", "start.npy", "--sampler", "ddpm"})));
}

TEST_F(CdmSample, NeedsNoMoreMemoryForMoreImages) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer keeps freed memory";
#endif
  test::write_images(tiny_ / "large.npz", 2, false, 1, 64, 3);
  train("plain", {"data.path=" + (tiny_ / "large.npz"), "model.channels=2", "train.iterations=0",
                  "train.nll_every=0"});
  const auto peak = [&](const char* count) {
    const test::Finished done =
        tiny_.run("cdm-sample", {"run", "-n", count, "--batch", "16", "--steps", "1", "--out",
                                 "images.npz", "--grid", "grid.png", "--zoom", "1"});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    return done.peak_bytes;
  };
  const std::int64_t few = peak("256");  // the grid takes no more than these
  EXPECT_GT(few, 10 << 20) << "not measured";
  const std::int64_t many = peak("2304");
  // The further 2,048 images are 24 MiB as bytes, and 96 MiB as numbers. Allocators keep some MiB
  // more in one run than in another, whatever the number of images.
  constexpr std::int64_t kAllowance = 8 << 20;
  EXPECT_LT(many - few, kAllowance) << few;
}

}  // namespace
}  // namespace cdm
