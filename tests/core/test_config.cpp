// SPDX-License-Identifier: MIT
// The configuration: what is read, what is refused and in which words, and what is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/file.h"
#include "config/keys.h"
#include "config_test.h"

namespace cdm {
namespace {

using test::user_error;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class Config : public test::ConfigTest {};

TEST_F(Config, DefaultsAreThoseDeclared) {
  const RunConfig config;
  EXPECT_EQ(config.seed, 0);
  EXPECT_EQ(config.device, "auto");
  EXPECT_EQ(config.data.kind, DataKind::fashion_mnist);
  EXPECT_TRUE(config.data.horizontal_flip);
  EXPECT_EQ(config.diffusion.steps, 1000);
  EXPECT_TRUE(config.model.channel_mult.empty());
  EXPECT_EQ(config.loss.ce_weight, 0.001);
  EXPECT_EQ(config.train.learning_rate, 2e-4);
  EXPECT_EQ(config.sample.sampler, SamplerKind::ddim);
  EXPECT_EQ(flatten(load("")), flatten(config));
  EXPECT_EQ(flatten(load("# nothing but a remark\n")), flatten(config));
  EXPECT_EQ(flatten(load("{}")), flatten(config));
}

TEST_F(Config, ReadsEveryKindOfValueInEitherStyle) {
  const RunConfig config = load(R"(seed: 7
precision: "bf16"
data: {kind: cifar10, horizontal_flip: false}
model:
  channel_mult: [1, 3]
  attention_resolutions: []
  channels: +64
train:
  learning_rate: 1.0e-3
  adam_eps: 0
)");
  EXPECT_EQ(config.seed, 7);
  EXPECT_EQ(config.precision, Arithmetic::bf16);
  EXPECT_EQ(config.data.kind, DataKind::cifar10);
  EXPECT_FALSE(config.data.horizontal_flip);
  EXPECT_EQ(config.model.channel_mult, (std::vector<std::int64_t>{1, 3}));
  EXPECT_TRUE(config.model.attention_resolutions.empty());
  EXPECT_EQ(config.model.channels, 64);
  EXPECT_EQ(config.train.learning_rate, 1e-3);
  EXPECT_EQ(config.train.adam_eps, 0.0);
  EXPECT_EQ(config.train.batch_size, RunConfig().train.batch_size);
}

TEST_F(Config, OverridesWinAndTheLastOneMost) {
  const RunConfig config = load("seed: 1\ntrain: {batch_size: 8}\n",
                                {"train.batch_size=16", "seed=2", "model.channel_mult=[2, 4]",
                                 "seed=3", "device=cuda:1", "data.path=null"});
  EXPECT_EQ(config.seed, 3);
  EXPECT_EQ(config.train.batch_size, 16);
  EXPECT_EQ(config.model.channel_mult, (std::vector<std::int64_t>{2, 4}));
  EXPECT_EQ(config.device, "cuda:1");
  EXPECT_EQ(config.data.path, "");
}

TEST_F(Config, AnOverrideNeedNotReplaceALegalValue) {
  EXPECT_EQ(load("train: {batch_size: many}\n", {"train.batch_size=16"}).train.batch_size, 16);
}

TEST_F(Config, AnUnknownKeyNamesTheNearestOne) {
  EXPECT_EQ(refusal("seed: 1\ntrain:\n  batch_sise: 64\n"),
            at_line(3) +
                "train.batch_sise = 64: unknown key; the nearest known key is "
                "train.batch_size, an integer in 1..1048576");
  EXPECT_EQ(refusal("sed: 1\n"), at_line(1) +
                                     "sed = 1: unknown key; the nearest known key is "
                                     "seed, an integer in 0..9007199254740991");
  EXPECT_EQ(refusal("", {"sample.spacing_=leading"}),
            "--set sample.spacing_=leading: sample.spacing_ = leading: unknown key; the nearest "
            "known key is sample.spacing, one of leading, trailing, linspace");
}

TEST_F(Config, AnUnknownSectionNamesTheNearestOne) {
  EXPECT_EQ(refusal("seed: 1\ntrian: {batch_size: 64}\n"),
            at_line(2) + "trian: unknown section; the nearest known section is train");
  EXPECT_THAT(refusal("trian:\n  batch_size: 64\n"), StartsWith(at_line(1) + "trian: unknown"));
}

TEST_F(Config, SectionsAndKeysAreNotMistakenForEachOther) {
  EXPECT_EQ(refusal("train: 5\n"),
            at_line(1) + "section 'train' must hold keys with values, not 5");
  EXPECT_THAT(refusal("seed: {a: 1}\n"), HasSubstr("seed = {a: 1}: must be an integer"));
  EXPECT_EQ(refusal("", {"model=mlp"}),
            "--set model=mlp: 'model' is a section, not a key; write model.key=value");
  EXPECT_THAT(refusal("", {"foo.bar=1"}), StartsWith("--set foo.bar=1: foo.bar = 1: unknown key"));
  EXPECT_EQ(refusal("[1, 2]\n"), file_.string() + ": must hold keys with values");
  EXPECT_EQ(refusal("? [a, b]\n: 1\n"), at_line(1) + "a key must be a word");
}

struct Refused {
  const char* yaml;
  int line;
  const char* message;  // after file and line
};

class RefusedValue : public Config, public testing::WithParamInterface<Refused> {};

TEST_P(RefusedValue, NamesLineKeyValueAndWhatIsLegal) {
  EXPECT_EQ(refusal(GetParam().yaml), at_line(GetParam().line) + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    OfAnotherType, RefusedValue,
    testing::Values(
        Refused{"\ntrain:\n\n  batch_size: 1e-3\n", 4,
                "train.batch_size = 1e-3: must be an integer in 1..1048576"},
        Refused{"train: {batch_size: 64.5}", 1,
                "train.batch_size = 64.5: must be an integer in 1..1048576"},
        Refused{"train: {batch_size: [64]}", 1,
                "train.batch_size = [64]: must be an integer in 1..1048576"},
        Refused{
            "train: {batch_size: }", 1,
            "train.batch_size: has no value; it must be an integer in 1..1048576; leave the key "
            "out for its default, 128"},
        Refused{"seed: +-1", 1, "seed = +-1: must be an integer in 0..9007199254740991"},
        Refused{"model: {dropout: much}", 1, "model.dropout = much: must be a number in 0..0.999"},
        Refused{"model: {dropout: 0.1.2}", 1,
                "model.dropout = 0.1.2: must be a number in 0..0.999"},
        Refused{"train: {clip_grad_norm: .inf}", 1,
                "train.clip_grad_norm = .inf: must be a number of at least 0"},
        Refused{"train: {clip_grad_norm: nan}", 1,
                "train.clip_grad_norm = nan: must be a number of at least 0"},
        Refused{"data: {horizontal_flip: often}", 1,
                "data.horizontal_flip = often: must be true or false"},
        Refused{"data: {path: [a, b]}", 1, "data.path = [a, b]: must be text"},
        Refused{"model: {channel_mult: 2}", 1,
                "model.channel_mult = 2: must be a list of integers in 1..1024"},
        Refused{"model: {channel_mult: [1, 2.5]}", 1,
                "model.channel_mult = [1, 2.5]: must be a list of integers in 1..1024"},
        Refused{"data: {path: [\"a\\nb\"]}", 1, "data.path = [\"a\\nb\"]: must be text"},
        Refused{"seed: |\n  a\n  b\n", 1,
                "seed = \"a\\nb\\n\": must be an integer in 0..9007199254740991"}));

INSTANTIATE_TEST_SUITE_P(
    OutOfRange, RefusedValue,
    testing::Values(
        Refused{"seed: -1", 1, "seed = -1: must be an integer in 0..9007199254740991"},
        Refused{"seed: 9007199254740992", 1,
                "seed = 9007199254740992: must be an integer in 0..9007199254740991"},
        Refused{"seed: 123456789012345678901234567890", 1,
                "seed = 123456789012345678901234567890: must be an integer in "
                "0..9007199254740991"},
        Refused{"train:\n  batch_size: 0\n", 2,
                "train.batch_size = 0: must be an integer in 1..1048576"},
        Refused{"model: {dropout: 1}", 1, "model.dropout = 1: must be a number in 0..0.999"},
        Refused{"train: {clip_grad_norm: -0.5}", 1,
                "train.clip_grad_norm = -0.5: must be a number of at least 0"},
        Refused{"sample: {spacing: magic}", 1,
                "sample.spacing = magic: must be one of leading, trailing, linspace"},
        Refused{"sample: {eta: 2}", 1, "sample.eta = 2: must be a number in 0..1"},
        Refused{"model: {channel_mult: [1, 0]}", 1,
                "model.channel_mult = [1, 0]: must be a list of integers in 1..1024"},
        Refused{"data:\n  channels: 2\n", 2, "data.channels = 2: must be 0, 1 or 3"},
        Refused{"\ndevice: gpu", 2, "device = gpu: must be auto, cpu, cuda or cuda:N"},
        Refused{"device: cuda:x", 1, "device = cuda:x: must be auto, cpu, cuda or cuda:N"}));

INSTANTIATE_TEST_SUITE_P(
    OfTwoKeys, RefusedValue,
    testing::Values(
        Refused{"diffusion:\n  beta_end: 0.1\n  beta_start: 0.2\n", 3,
                "diffusion.beta_start = 0.2: must not exceed diffusion.beta_end = 0.1"},
        Refused{"\ndiffusion: {beta_end: 1.0e-5}", 2,
                "diffusion.beta_end = 1.0e-5: must not be below diffusion.beta_start = 1.0e-04"},
        Refused{"model: {channel_mult: [1, 2, 2, 2]}\ndata: {image_size: 28}\n", 2,
                "data.image_size = 28: cannot be halved 3 times, as the 4 resolutions of "
                "model.channel_mult need"},
        Refused{
            "loss: {kind: nce}\ndiffusion: {steps: 6}", 2,
            "diffusion.steps = 6: must be 0 for loss.kind = nce, which learns the first and the "
            "last noise level only"},
        Refused{
            "loss: {kind: nce}\ndiffusion: {schedule: flow_matching, steps: 6}", 2,
            "diffusion.steps = 6: must be 1 for loss.kind = nce, which learns the first and the "
            "last noise level only"},
        Refused{
            "\nsample: {guidance: 0.5}", 2,
            "sample.guidance = 0.5: must be 0 for model.num_classes = 0, which has no classes to "
            "guide to"},
        Refused{"model: {num_classes: 3}\nloss: {label_dropout: 0}\nsample: {guidance: 0.5}", 3,
                "sample.guidance = 0.5: must be 0 for loss.label_dropout = 0, with which the null "
                "class is not trained"},
        Refused{"diffusion: {schedule: log_snr, log_snr_max: -8}", 1,
                "diffusion.log_snr_max = -8: must be above diffusion.log_snr_min = -8"},
        Refused{"diffusion: {schedule: log_snr, log_snr_min: 17}", 1,
                "diffusion.log_snr_min = 17: must be below diffusion.log_snr_max = 16"},
        Refused{"loss: {kind: subset, subset_levels: 9}\ndiffusion: {steps: 6}", 1,
                "loss.subset_levels = 9: must not exceed 8, the number of noise levels"},
        Refused{"loss: {kind: time_score, time_score_from: 7}\ndiffusion: {steps: 6}", 1,
                "loss.time_score_from = 7: must not exceed 6, the last level before the reference"},
        Refused{"loss: {draws_per_image: 3}\ntrain: {batch_size: 128}", 1,
                "loss.draws_per_image = 3: must divide train.batch_size = 128"},
        Refused{"loss: {mse_share: 0.3}\ntrain: {batch_size: 128}", 1,
                "loss.mse_share = 0.3: must be a whole number of rows divided by "
                "train.batch_size = 128"},
        Refused{"diffusion: {schedule: flow_matching, steps: 0}", 1,
                "diffusion.steps = 0: must be at least 1 for diffusion.schedule = flow_matching"},
        Refused{
            "data:\n  augment: 0.1\n  horizontal_flip: true", 3,
            "data.horizontal_flip = true: must be false for data.augment above 0, which mirrors "
            "images and tells the network"},
        Refused{"model: {predicts: noise}\nloss: {kind: denoising, mse_weight: 0}", 2,
                "loss.mse_weight = 0: must be above 0 for loss.kind = denoising, which has no "
                "other term"},
        Refused{"model: {predicts: noise}\nloss: {kind: denoising}\ndiffusion: {steps: 0}", 3,
                "diffusion.steps = 0: leaves no level with both image and noise to learn from"}));

TEST_F(Config, AnObjectiveNeedsANetworkThatPredictsWhatItLearns) {
  EXPECT_THAT(refusal("model: {predicts: noise}\nloss: {kind: tre}"),
              AllOf(StartsWith(at_line(2) + "loss.kind = tre: must be "), HasSubstr("denoising"),
                    HasSubstr("for model.predicts = noise")));
  EXPECT_THAT(refusal("model: {predicts: logits}\nloss: {kind: denoising}"),
              AllOf(StartsWith(at_line(2) + "loss.kind = denoising: must be "), HasSubstr("cdm"),
                    HasSubstr("for model.predicts = logits")));
}

TEST_F(Config, AWeightOfTheNullClassWithoutClassesMeansNothing) {
  EXPECT_EQ(load("loss: {label_dropout: 0.5}").loss.label_dropout, 0.5);
  EXPECT_EQ(load("loss: {label_dropout: 0}").loss.label_dropout, 0.0);
  EXPECT_EQ(
      load("loss: {kind: nce}\ndiffusion: {schedule: flow_matching, steps: 1}").diffusion.steps, 1);
}

// A mirrored digit is no digit.
TEST_F(Config, FlipsSuitTheDataUnlessTheyAreGiven) {
  for (const std::string& kind : names_of<DataKind>()) {
    const bool flips = kind != "mnist" && kind != "emnist" && kind != "toy";
    EXPECT_EQ(load(concat("data: {kind: ", kind, "}")).data.horizontal_flip, flips) << kind;
    EXPECT_EQ(load("", {"data.kind=" + kind}).data.horizontal_flip, flips) << kind;
    for (const char* given : {"true", "false"}) {
      const std::string flip = concat("horizontal_flip: ", given);
      const bool wanted = flip.ends_with("true");
      EXPECT_EQ(load(concat("data: {kind: ", kind, ", ", flip, "}")).data.horizontal_flip, wanted);
      EXPECT_EQ(load(concat("data: {", flip, "}"), {"data.kind=" + kind}).data.horizontal_flip,
                wanted);
    }
    EXPECT_EQ(
        load("data: {horizontal_flip: true}", {"data.horizontal_flip=null", "data.kind=" + kind})
            .data.horizontal_flip,
        flips);
  }
  EXPECT_THAT(to_yaml(load("data: {kind: mnist}")), HasSubstr("  horizontal_flip: false\n"));
  EXPECT_FALSE(load("data: {augment: 0.1}").data.horizontal_flip);
}

TEST_F(Config, OverridesAreCheckedLikeTheFile) {
  EXPECT_EQ(refusal("train: {batch_size: 8}\n", {"train.batch_size=0"}),
            "--set train.batch_size=0: train.batch_size = 0: must be an integer in 1..1048576");
  EXPECT_EQ(refusal("", {"device=gpu"}),
            "--set device=gpu: device = gpu: must be auto, cpu, cuda or cuda:N");
  for (const char* text : {"train.batch_size", "=5", ""}) {
    EXPECT_EQ(refusal("", {text}),
              concat("--set ", text, ": must have the form section.key=value"));
  }
  EXPECT_THAT(refusal("", {"model.channel_mult=[1, 2"}),
              StartsWith("--set model.channel_mult=[1, 2: not YAML: "));
}

TEST_F(Config, AKeyComesOnce) {
  EXPECT_EQ(refusal("train:\n  warmup: 1\n  batch_size: 8\n  warmup: 1\n"),
            concat(at_line(4), "'train.warmup' is given twice; first at ", file_.string(), ":2"));
  EXPECT_EQ(refusal("seed: 1\nseed: 1\n"),
            concat(at_line(2), "'seed' is given twice; first at ", file_.string(), ":1"));
  EXPECT_EQ(refusal("train: {warmup: 1}\nseed: 1\ntrain: {warmup: 2}\n"),
            concat(at_line(3), "'train.warmup' is given twice; first at ", file_.string(), ":1"));
}

TEST_F(Config, BadYamlNamesItsLine) {
  EXPECT_THAT(refusal("seed: 1\ntrain: {batch_size: 8\ndata: 1\n"),
              AllOf(StartsWith(file_.string() + ":"), HasSubstr(": not YAML: ")));
  EXPECT_THAT(refusal("seed: 1\n\tdevice: cpu\n"), StartsWith(at_line(2) + "not YAML: "));
  EXPECT_THAT(refusal("seed: *nowhere\n"), StartsWith(at_line(1) + "not YAML: "));
  EXPECT_THAT(refusal("a: " + std::string(100000, '[')), HasSubstr(": not YAML: "));
}

TEST_F(Config, AFileThatCannotBeReadIsNamed) {
  const std::filesystem::path missing = folder_ / "missing.yaml";
  EXPECT_EQ(user_error([&] { load_config(missing); }),
            missing.string() + ": cannot be read: No such file or directory");
  EXPECT_EQ(user_error([&] { load_config(folder_); }),
            folder_.string() + ": is a directory; a file is needed");
}

TEST_F(Config, WhatIsWrittenReadsTheSame) {
  RunConfig config;
  config.seed = 9007199254740991;
  config.device = "cuda:3";
  config.own_cuda_kernels = Feature::off;
  config.train.learning_rate = 0.1 + 0.2;  // needs all 17 digits
  config.train.adam_eps = 1e-300;
  config.train.iterations = 1000000000000;
  config.model.attention_resolutions = {};
  config.model.channel_mult = {1, 1024};
  EXPECT_THAT(to_yaml(config), HasSubstr("  adam_eps: 1.0e-300\n"));
  EXPECT_EQ(flatten(load(to_yaml(config))), flatten(config));
  EXPECT_EQ(load(to_yaml(config)).train.learning_rate, config.train.learning_rate);
  for (const char* path :
       {"/a/b c", "/a: b",        "/a#b",       "/a #b",  "/\"quoted\"", "/back\\slash",
        "/'",     "/gr\xc3\xbcn", "/new\nline", "/tab\t", "/return\r",   "/bell\x07",
        "/\x7f",  "/a, b",        "/{x}",       "/[x]",   "/ends in:",   "/space ",
        "/%",     "/~",           "/*x",        "/&x",    "/!x",         "/|",
        "/>",     "/x - y",       "/? x"}) {
    config.data.path = path;
    EXPECT_EQ(load(to_yaml(config)).data.path, path);
  }
  // Text that looks like something else; relative paths come back absolute.
  for (const char* path : {"~", "null", "Null", "NULL", "true", "1e3", "-", "- x", "=", "<<"}) {
    config.data.path = path;
    EXPECT_EQ(load(to_yaml(config)).data.path, folder_ / path);
  }
}

TEST_F(Config, EveryKeyHasHelpAndALegalDefault) {
  const RunConfig config;
  const std::string help_text = "\n" + config_help();
  for (const Key& key : config_keys()) {
    EXPECT_GE(key.help.size(), 5U) << key.full_name();
    const bool may_change = key.resume == Resume::may_change;
    EXPECT_THAT(help_text,
                HasSubstr(concat("\n", key.section.empty() ? "" : "  ", key.name, ": ",
                                 key.default_text(), "\n      ", key.help, " (", key.legal,
                                 key.conditions.empty() ? "" : "; only for ", key.only_for(),
                                 may_change ? "; may change on resume" : "",
                                 key.set_afterwards ? "; may be set after training)\n" : ")\n")));
  }
  // Reading checks each value; 28 pixels or any other size are the data's to say.
  EXPECT_EQ(flatten(load(to_yaml(config))), flatten(config));
}

TEST_F(Config, TheReferencePageIsUpToDate) {
  const std::filesystem::path page =
      std::filesystem::path(CDM_TEST_DATA).parent_path() / "docs" / "configuration.md";
  EXPECT_TRUE(read_file(page) == config_reference_markdown())
      << page << " is not what the program says; make it again:\n"
      << "  cdm-train --help-config --markdown > docs/configuration.md";
}

}  // namespace
}  // namespace cdm
