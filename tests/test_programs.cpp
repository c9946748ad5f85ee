// SPDX-License-Identifier: MIT
// What every program has in common: help, version, and how it refuses wrong calls.
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cdm/io/npy.h"
#include "support.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

/// Every program of this build.
std::vector<std::string> programs() {
  std::vector<std::string> found;
  for (const std::string& name : test::names_in(CDM_BIN_DIR)) {
    if (name.starts_with("cdm-")) found.push_back(name);
  }
  return found;
}

TEST(Programs, AreAllThere) {
  for (const char* name : {"cdm-bench", "cdm-convert", "cdm-nll", "cdm-sample", "cdm-train"}) {
    EXPECT_THAT(programs(), testing::Contains(name));
  }
}

TEST(Programs, TellTheirVersion) {
  for (const std::string& name : programs()) {
    const test::Finished done = test::run(name, {"--version"});
    EXPECT_EQ(done.exit_code, 0) << name;
    EXPECT_THAT(done.out, testing::MatchesRegex("cdm [0-9.]+\nrevision .+\nLibTorch 2\\.[0-9.]+\n"
                                                "CUDA (none|[0-9].*)\n"))
        << name;
    EXPECT_EQ(done.err, "") << name;
  }
}

TEST(Programs, ExplainThemselves) {
  for (const std::string& name : programs()) {
    const test::Finished done = test::run(name, {"--help"});
    EXPECT_EQ(done.exit_code, 0) << name;
    EXPECT_EQ(done.err, "") << name;
    EXPECT_THAT(done.out, HasSubstr("Usage: " + name + " [OPTIONS]"));
    EXPECT_THAT(done.out, HasSubstr("\nExample:\n  " + name + " "));
    EXPECT_THAT(done.out, HasSubstr("--version"));
    EXPECT_THAT(done.out, EndsWith("\n"));
  }
}

struct Help {
  const char* program;
  std::vector<const char*> texts;  // options, and their defaults
};

TEST(Programs, NameEveryOptionWithItsDefault) {
  const std::vector<const char*> model = {"RUN_OR_CHECKPOINT",
                                          "--device",
                                          "--precision",
                                          "--weights",
                                          "ema (the moving average, default)",
                                          "--set"};
  std::vector<Help> helps = {
      {"cdm-train",
       {"CONFIG", "--config", "--run-dir", "default: runs/ and the configuration's name", "--set",
        "--device", "--dry-run", "--help-config", "--markdown"}},
      {"cdm-sample",
       {"-n,--count", "=64", "--out", "--grid", "--zoom", "--raw", "--sampler", "--steps",
        "--spacing", "--eta", "--trajectory", "--guidance", "--class", "--seed", "--first-image",
        "--batch", "--init-noise", "--step-noise", "default: the configuration's"}},
      {"cdm-nll",
       {"--data", "--split", "=test", "--limit", "--out", "--level", "--dequantize",
        "data.dequantize", "--draws", "--seed", "--batch", "=256", "--gaussian"}},
      {"cdm-eval", {"levels", "denoise", "curves", "toy", "fid", "agreement"}},
      {"cdm-bench",
       {"CONFIG", "--set", "--device", "--what", "--batch", "--repeats", "--image-size",
        "--channels", "--json", "default: train.batch_size"}}};
  for (Help& help : helps) {
    const std::string program = help.program;
    if (program == "cdm-sample" || program == "cdm-nll") {
      help.texts.insert(help.texts.end(), model.begin(), model.end());
    }
    const std::string out = test::run_well(program, {"--help"});
    for (const char* text : help.texts) EXPECT_THAT(out, HasSubstr(text)) << program;
  }
}

/// A call that is refused: its arguments, the exit code, and what the message names.
struct WrongCall {
  std::vector<std::string> arguments;
  std::vector<std::string> named;
  int exit_code = 2;
};

/// A folder with a conditional run, an unconditional one, and files that are not right.
class WrongCalls : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(tiny_.train("tiny", "run", {"train.iterations=1"}).exit_code, 0);
    ASSERT_EQ(tiny_.train("plain", "free", {"train.iterations=1"}).exit_code, 0);
    test::write_images(tiny_ / "large.npz", 4, true, 1, 16);
    NpzWriter strange(tiny_ / "strange.npz");
    strange.write("arr_0", at::full({4, 8, 8, 1}, 7, at::kByte));
    strange.write("arr_1", at::arange(7, 11, at::kLong));
    strange.close();
    write_npy(tiny_ / "two.npy", test::numbers(1, {2, 1, 8, 8}));
    test::write_text(tiny_ / "junk.npz", "junk");
    test::write_text(tiny_ / "torn.npz", test::read_text(tiny_ / "test.npz").substr(0, 1000));
    test::write_text(tiny_ / "broken.yaml", "model: {kind: mlp\ntrain: 1}\n");
    test::write_text(tiny_ / "unknown.yaml", "seed: 1\nmodel: {chanels: 3}\n");
    test::write_text(tiny_ / "typed.yaml", "\n\ntrain: {iterations: many}\n");
    test::write_text(tiny_ / "ranged.yaml", "diffusion: {steps: -1}\n");
    test::write_text(tiny_ / "twice.yaml", "seed: 1\nseed: 2\n");
    test::write_text(tiny_ / "nodata.yaml", "data: {kind: npz, path: none.npz}\n");
  }

  void expect_refused(const std::string& program, const std::vector<WrongCall>& calls) const {
    const auto before = tiny_.contents();
    for (const WrongCall& call : calls) {
      std::string line = program;
      for (const std::string& argument : call.arguments) line += " " + argument;
      SCOPED_TRACE(line);
      const test::Finished done = tiny_.run(program, call.arguments);
      EXPECT_EQ(done.exit_code, call.exit_code);
      EXPECT_EQ(done.out, "");
      EXPECT_THAT(done.err, StartsWith("error: "));
      EXPECT_THAT(done.err, EndsWith("\n"));
      EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
      EXPECT_LT(done.err.size(), 500U) << done.err;
      for (const std::string& name : call.named) EXPECT_THAT(done.err, HasSubstr(name));
      ASSERT_TRUE(tiny_.contents() == before) << "something was written";
    }
  }

  test::TinyRun tiny_;
};

TEST_F(WrongCalls, OfCdmTrain) {
  expect_refused(
      "cdm-train",
      {{{}, {"CONFIG.yaml", "cdm-train --help"}},
       {{"--colour"}, {"--colour", "cdm-train --help"}},
       {{"none.yaml"}, {"none.yaml", "No such file"}},
       {{"tiny.yaml", "plain.yaml"}, {"plain.yaml"}},
       {{"tiny.yaml", "--config", "tiny.yaml"}, {"one configuration"}},
       {{"broken.yaml"}, {"broken.yaml:2", "not YAML"}},
       {{"unknown.yaml"}, {"unknown.yaml:2", "model.chanels", "model.channels"}},
       {{"typed.yaml"}, {"typed.yaml:3", "train.iterations", "many", "integer"}},
       {{"ranged.yaml"}, {"ranged.yaml:1", "diffusion.steps", "-1", "0..100000"}},
       {{"twice.yaml"}, {"twice.yaml:2", "seed", "twice"}},
       {{"nodata.yaml"}, {"none.npz", "not found"}},
       {{"run"}, {"run", "is a directory"}},
       {{"tiny.yaml", "--set"}, {"--set"}},
       {{"tiny.yaml", "--set", "seed"}, {"--set seed", "section.key=value"}},
       {{"tiny.yaml", "--set", "model.chanels=3"}, {"model.chanels", "model.channels"}},
       {{"tiny.yaml", "--set", "model.kind=cnn"}, {"model.kind", "cnn", "unet", "mlp"}},
       {{"tiny.yaml", "--set", "train.ema_decay=2"}, {"train.ema_decay", "2", "0..1"}},
       {{"tiny.yaml", "--set", "diffusion.beta_start=0.5"}, {"diffusion.beta_start", "0.5"}},
       {{"tiny.yaml", "--set", "data.path=torn.npz"}, {"torn.npz"}},
       {{"tiny.yaml", "--set", "data.test_path="}, {"data.test_path"}},
       {{"unet.yaml", "--set", "model.channel_mult=[1, 1, 1, 1, 1]"}, {"model.channel_mult"}},
       {{"tiny.yaml", "--set", "data.image_size=9"}, {"data.image_size", "9", "8"}},
       {{"tiny.yaml", "--set", "model.num_classes=2"}, {"model.num_classes", "2", "3"}},
       {{"tiny.yaml", "--set", "data.path=plain.npz"}, {"model.num_classes", "no labels"}},
       {{"tiny.yaml", "--device", "gpu"}, {"device", "gpu", "auto"}},
       {{"tiny.yaml", "--device", "cuda:99"}, {"cuda:99"}},
       {{"tiny.yaml", "--run-dir", "run", "--set", "model.channels=17"},
        {"run/config.yaml", "model.channels: 16 -> 17"}},
       {{"tiny.yaml", "--run-dir", "tiny.yaml"}, {"tiny.yaml"}, 1},
       {{"tiny.yaml", "--dry-run", "--set", "train.warmup=-1"}, {"train.warmup", "-1"}}});
}

TEST_F(WrongCalls, OfCdmSample) {
  const auto with = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", "--out", "a.npz"});
    return more;
  };
  expect_refused(
      "cdm-sample",
      {{{}, {"RUN_OR_CHECKPOINT", "cdm-sample --help"}},
       {{"run"}, {"--out", "--grid", "--raw"}},
       {{"nowhere", "--out", "a.npz"}, {"nowhere", "no run directory"}},
       {{"tiny.yaml", "--out", "a.npz"}, {"tiny.yaml", "run directory"}},
       {{"run", "--out", "none/a.npz"}, {"none/a.npz", "does not exist"}},
       {{"run", "--grid", "run"}, {"run", "is a folder"}},
       {with({"-n", "0"}), {"--count", "0"}},
       {with({"-n", "many"}), {"--count", "many"}},
       {with({"--sampler", "magic"}), {"--sampler", "magic", "ddim"}},
       {with({"--spacing", "odd"}), {"--spacing", "odd", "leading"}},
       {with({"--steps", "21"}), {"steps", "21", "1..20"}},
       {with({"--steps", "0"}), {"steps", "0", "1..20"}},
       {with({"--class", "3"}), {"--class 3", "0..2"}},
       {with({"--class", "cat"}), {"--class", "cat"}},
       {with({"--guidance", "1"}), {"--guidance 1: needs --class"}},
       {with({"--set", "sample.guidance=2"}), {"sample.guidance = 2: needs --class"}},
       {with({"--class", "1", "--guidance", "-1"}), {"--guidance -1", "0..1000"}},
       {with({"--class", "1", "--guidance", "nan"}), {"--guidance nan", "0..1000"}},
       {{"free", "--out", "a.npz", "--class", "1"}, {"--class", "unconditional"}},
       {{"free", "--out", "a.npz", "--guidance", "1"}, {"--guidance", "unconditional"}},
       {with({"--seed", "-1"}), {"--seed", "-1"}},
       {with({"--first-image", "-1"}), {"--first-image", "-1"}},
       {with({"--first-image", "4294967295"}), {"--first-image 4294967295"}},
       {with({"--batch", "0"}), {"--batch", "0"}},
       {with({"--zoom", "65"}), {"--zoom", "65"}},
       {with({"--init-noise", "none.npy"}), {"none.npy"}},
       {with({"--init-noise", "junk.npz"}), {"junk.npz"}},
       {with({"-n", "3", "--init-noise", "two.npy"}), {"two.npy", "[2, 1, 8, 8]", "[3, 1, 8, 8]"}},
       {with({"-n", "2", "--step-noise", "two.npy"}), {"--step-noise", "ddim"}},
       {with({"--eta", "1.5"}), {"--eta", "1.5"}},
       {with({"-n", "1000000", "--trajectory", "t.npz"}), {"--trajectory", "1000000", "-n"}},
       {with({"--trajectory", "none/t.npz"}), {"none/t.npz", "does not exist"}},
       {with({"-n", "2", "--sampler", "ddpm", "--step-noise", "two.npy"}),
        {"two.npy", "[10, 2, 1, 8, 8]"}},
       {with({"--precision", "fp16"}), {"precision", "fp16", "fp64"}},
       {with({"--weights", "best"}), {"--weights", "best", "ema"}},
       {with({"--set", "model.channels=17"}), {"step-00000001", "do not fit"}},
       {with({"--device", "tpu"}), {"device", "tpu"}}});
}

TEST_F(WrongCalls, OfCdmNll) {
  expect_refused("cdm-nll",
                 {{{}, {"RUN_OR_CHECKPOINT", "cdm-nll --help"}},
                  {{"nowhere"}, {"nowhere", "no run directory"}},
                  {{"run", "more"}, {"more"}},
                  {{"run", "--data", "none.npz"}, {"none.npz", "not found"}},
                  {{"run", "--data", "junk.npz"}, {"junk.npz"}},
                  {{"run", "--data", "torn.npz"}, {"torn.npz"}},
                  {{"run", "--data", "tiny.yaml"}, {"tiny.yaml", ".npz"}},
                  {{"run", "--data", "large.npz"}, {"large.npz", "16"}},
                  {{"run", "--data", "strange.npz"}, {"strange.npz", "label 10", "0..2"}},
                  {{"run", "--split", "val"}, {"--split", "val", "test"}},
                  {{"run", "--level", "22"}, {"--level 22", "0..21"}},
                  {{"run", "--level", "-1"}, {"--level -1", "0..21"}},
                  {{"run", "--level", "low"}, {"--level", "low"}},
                  {{"run", "--dequantize", "normal"}, {"--dequantize", "normal", "uniform"}},
                  {{"run", "--draws", "2"}, {"--draws", "--dequantize uniform"}},
                  {{"run", "--dequantize", "uniform", "--draws", "0"}, {"--draws", "0"}},
                  {{"run", "--limit", "-1"}, {"--limit", "-1"}},
                  {{"run", "--seed", "-1"}, {"--seed", "-1"}},
                  {{"run", "--batch", "0"}, {"--batch", "0"}},
                  {{"run", "--out", "none/a.csv"}, {"none/a.csv", "does not exist"}},
                  {{"run", "--out", "run"}, {"run", "is a folder"}},
                  {{"run", "--gaussian", "--set", "data.path=none.npz"}, {"none.npz", "not found"}},
                  {{"run", "--precision", "fp8"}, {"precision", "fp8"}}});
}

TEST_F(WrongCalls, OfCdmBench) {
  expect_refused("cdm-bench", {{{}, {"CONFIG", "cdm-bench --help"}},
                               {{"none.yaml"}, {"none.yaml"}},
                               {{"tiny.yaml", "--what", "train,eat"}, {"--what", "eat", "nll"}},
                               {{"tiny.yaml", "--batch", "0"}, {"--batch", "0"}},
                               {{"tiny.yaml", "--repeats", "0"}, {"--repeats", "0"}},
                               {{"tiny.yaml", "--channels", "4"}, {"--channels", "4"}},
                               {{"tiny.yaml", "--image-size", "0"}, {"--image-size", "0"}},
                               {{"unet.yaml", "--image-size", "9"}, {"image", "9"}},
                               {{"tiny.yaml", "--device", "npu"}, {"device", "npu"}},
                               {{"tiny.yaml", "--set", "loss.kind=x"}, {"loss.kind", "x"}}});
}

TEST_F(WrongCalls, OfCdmConvert) {
  expect_refused("cdm-convert",
                 {{{}, {"INPUT", "cdm-convert --help"}},
                  {{"run"}, {"--out", "cdm-convert --help"}},
                  {{"run", "--out", "a.bin"}, {"a.bin", ".safetensors"}},
                  {{"none.pth", "--out", "new"}, {"--config"}},
                  {{"nowhere", "--out", "a.pth"}, {"nowhere"}},
                  {{"run", "--out", "none/a.pth"}, {"none/a.pth"}},
                  {{"run", "--out", "a.safetensors", "--weights", "best"}, {"--weights", "best"}}});
}

}  // namespace
}  // namespace cdm
