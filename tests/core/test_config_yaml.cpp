// SPDX-License-Identifier: MIT
// The YAML of configurations: documents, merge keys, and scalars as people write them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "config_test.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class ConfigYaml : public test::ConfigTest {};

TEST_F(ConfigYaml, IsOneDocument) {
  EXPECT_EQ(load("---\nseed: 1\n").seed, 1);
  EXPECT_EQ(load("# remark\n---\nseed: 1\n...\n# remark\n").seed, 1);
  EXPECT_EQ(load("%YAML 1.1\n---\nseed: 1\n").seed, 1);
  EXPECT_THAT(refusal("seed: 1\n---\nseed: 2\n"),
              AllOf(StartsWith(at_line(2)), HasSubstr("document")));
  EXPECT_THAT(refusal("seed: 1\n...\n---\ntrain: {batch_size: many}\n"), StartsWith(at_line(3)));
  EXPECT_THAT(refusal("---\nseed: 1\n---\n"), StartsWith(at_line(3)));
  EXPECT_THAT(refusal("seed: 1\n---\n{[}\n"), StartsWith(at_line(2)));
  EXPECT_THAT(refusal("{seed: 1}\ntrain: {batch_size: 8}\n"), StartsWith(at_line(2)));
  EXPECT_THAT(refusal("", {"seed=1\n--- 2"}), StartsWith("--set seed=1?--- 2: "));
}

TEST_F(ConfigYaml, AnEmptySectionIsNone) {
  EXPECT_EQ(flatten(load("train:\nmodel: ~\ndata: {}\nloss: null\n")), flatten(RunConfig()));
}

TEST_F(ConfigYaml, MergeKeysAddWhatASectionDoesNotSay) {
  const RunConfig config = load(R"(.defaults: &small {batch_size: 8, warmup: 7, log_every: 3}
x-long: &long
  iterations: 1000
  warmup: 9
train:
  log_every: 1
  <<: [*small, *long]
model: &model {channels: 32}
)");
  EXPECT_EQ(config.train.log_every, 1);  // the section's own key wins, wherever it stands
  EXPECT_EQ(config.train.warmup, 7);     // the first of several maps wins
  EXPECT_EQ(config.train.batch_size, 8);
  EXPECT_EQ(config.train.iterations, 1000);
  EXPECT_EQ(config.model.channels, 32);

  const RunConfig nested = load(R"(x-a: &a {seed: 4, train: {warmup: 3}, model: {channels: 64}}
x-b: &b {<<: *a, device: cpu}
<<: *b
model: {res_blocks: 1}
)");
  EXPECT_EQ(nested.seed, 4);
  EXPECT_EQ(nested.device, "cpu");
  EXPECT_EQ(nested.train.warmup, 3);
  EXPECT_EQ(nested.model.res_blocks, 1);
  EXPECT_EQ(nested.model.channels, RunConfig().model.channels);  // a section is one value
  EXPECT_EQ(load("x-lr: &lr 1e-3\ntrain: {learning_rate: *lr, warmup: 0}\n").train.learning_rate,
            1e-3);
}

TEST_F(ConfigYaml, WhatIsMergedIsCheckedLikeTheRest) {
  EXPECT_THAT(refusal("x-a: &a\n  batch_sise: 8\ntrain: {<<: *a}\n"),
              AllOf(StartsWith(at_line(2)), HasSubstr("train.batch_sise = 8: unknown key")));
  EXPECT_THAT(refusal("x-a: &a {warmup: 1,\n  warmup: 2}\ntrain: {<<: *a}\n"),
              AllOf(StartsWith(at_line(2)), HasSubstr("'train.warmup' is given twice")));
  EXPECT_THAT(refusal("train:\n  <<: 5\n"), AllOf(StartsWith(at_line(2)), HasSubstr("<<")));
  EXPECT_THAT(refusal("train:\n  <<: [5]\n"), StartsWith(at_line(2)));
  EXPECT_THAT(refusal("x-a: &a {warmup: 1}\ntrain:\n  <<: *a\n  <<: *a\n"),
              AllOf(StartsWith(at_line(4)), HasSubstr("'<<' is given twice")));
  EXPECT_THAT(refusal("train: &t\n  <<: *t\n"), AllOf(StartsWith(at_line(2)), HasSubstr("<<")));
  std::string doubled = "x-0: &a0 {warmup: 1}\n";
  for (int i = 1; i < 60; ++i) {
    doubled += concat("x-", i, ": &a", i, " {<<: [*a", i - 1, ", *a", i - 1, "]}\n");
  }
  EXPECT_THAT(refusal(doubled + "train: {<<: *a59}\n"), HasSubstr("too many"));
  // A quoted "<<" is a key like any other, and sections for anchors are at the top level only.
  EXPECT_THAT(refusal("x-a: &a {warmup: 1}\ntrain: {\"<<\": *a}\n"), HasSubstr("unknown key"));
  EXPECT_THAT(refusal("train: {x-a: 1}\n"), HasSubstr("unknown key"));
}

TEST_F(ConfigYaml, NumbersAreReadAsTheyAreMeant) {
  const std::map<std::string, std::int64_t> integers = {{"1e6", 1000000},
                                                        {"1E+3", 1000},
                                                        {"1_000_000", 1000000},
                                                        {"+3", 3},
                                                        {"0x10", 16},
                                                        {"0b101", 5},
                                                        {"0xf_f", 255},
                                                        {"64.0", 64},
                                                        {"2.5e1", 25},
                                                        {"0", 0},
                                                        {"-0", 0},
                                                        {"1.", 1},
                                                        {"9_007_199_254_740_991", 9007199254740991},
                                                        {"!!int 12", 12}};
  for (const auto& [text, value] : integers) {
    EXPECT_EQ(load("seed: " + text).seed, value) << text;
    EXPECT_EQ(load("", {"seed=" + text}).seed, value) << text;
  }
  const std::map<std::string, double> numbers = {{".5", 0.5},        {"+.5", 0.5},  {"5e-1", 0.5},
                                                 {"1_0.2_5", 10.25}, {"1e1", 10.0}, {"3", 3.0},
                                                 {"0x10", 16},       {"00.5", 0.5}, {"6.e-1", 0.6}};
  for (const auto& [text, value] : numbers) {
    EXPECT_EQ(load("train: {clip_grad_norm: " + text + "}").train.clip_grad_norm, value) << text;
  }
  EXPECT_EQ(load("model: {attention_resolutions: [0x10, 1e1, 8.0]}").model.attention_resolutions,
            (std::vector<std::int64_t>{16, 10, 8}));
}

TEST_F(ConfigYaml, NumbersThatMayBeMisreadAreRefused) {
  for (const char* text : {"010", "-010", "08", "00", "0_1"}) {
    EXPECT_THAT(refusal(concat("train: {warmup: ", text, "}")),
                AllOf(HasSubstr(concat("train.warmup = ", text, ": must be an integer")),
                      HasSubstr("leading zero")));
    EXPECT_THAT(refusal(concat("train: {clip_grad_norm: ", text, "}")), HasSubstr("leading zero"));
  }
  EXPECT_THAT(refusal("", {"train.max_minutes=1:30"}),
              AllOf(StartsWith("--set train.max_minutes=1:30: train.max_minutes = 1:30: must be"),
                    HasSubstr("base 60")));
  EXPECT_THAT(refusal("model: {attention_resolutions: [8, 010]}"), HasSubstr("leading zero"));
  EXPECT_THAT(refusal("model: {attention_resolutions: &a [*a]}"), HasSubstr("must be a list"));
  EXPECT_THAT(refusal("seed: \"64\""), HasSubstr("in quotes it is text"));
  EXPECT_THAT(refusal("seed: !!str 64"), HasSubstr("in quotes it is text"));
  EXPECT_THAT(refusal("seed: !env SEED"), HasSubstr("the tag !env means nothing here"));
  EXPECT_THAT(refusal("data: {path: !env DATA}"), HasSubstr("the tag !env means nothing here"));
  for (const char* text :
       {"_1",  "1_",  "1__0",  "0x",    "0xg", "0b2", "1e-3", "1.5",  "1e30", "1e400",
        "--1", "+-1", "1 000", "1,000", "e3",  ".",   "1e_3", "0x_1", "many", ".inf"}) {
    EXPECT_THAT(refusal(concat("train:\n  warmup: ", text, "\n")),
                HasSubstr(concat("train.warmup = ", text, ": must be an integer")));
    EXPECT_THAT(refusal("", {concat("train.warmup=", text)}),
                HasSubstr(concat("train.warmup = ", text, ": must be an integer")));
  }
}

TEST_F(ConfigYaml, TruthIsSaidInManyWays) {
  for (const char* yes : {"true", "True", "TRUE", "yes", "Yes", "on", "ON", "y"}) {
    // Without the key, digits are not mirrored.
    const std::string file = concat("data: {kind: mnist, horizontal_flip: ", yes, "}");
    EXPECT_TRUE(load(file).data.horizontal_flip) << yes;
    const std::string override = concat("data.horizontal_flip=", yes);
    EXPECT_TRUE(load("data: {kind: mnist}", {override}).data.horizontal_flip) << yes;
  }
  for (const char* no : {"false", "False", "FALSE", "no", "NO", "off", "Off", "N"}) {
    EXPECT_FALSE(load(concat("train: {ema_warmup: ", no, "}")).train.ema_warmup) << no;
  }
  EXPECT_THAT(refusal("train: {ema_warmup: \"true\"}"),
              AllOf(HasSubstr("must be true or false"), HasSubstr("in quotes it is text")));
  for (const char* neither : {"1", "0", "tRUE", "yEs", "enable"}) {
    EXPECT_THAT(refusal(concat("train: {ema_warmup: ", neither, "}")),
                HasSubstr("must be true or false"));
  }
  // Text stays text.
  EXPECT_EQ(load("data: {path: /yes}").data.path, "/yes");
  EXPECT_EQ(load("data: {path: on}").data.path, folder_ / "on");
  EXPECT_EQ(load("data: {path: 010}").data.path, folder_ / "010");
  EXPECT_EQ(load("data: {path: \"~x\"}").data.path, folder_ / "~x");
}

TEST_F(ConfigYaml, FeaturesOfAGpuAreAutoOrOff) {
  EXPECT_EQ(load("").cuda_graphs, Feature::automatic);
  EXPECT_EQ(load("").own_cuda_kernels, Feature::automatic);
  EXPECT_EQ(load("").cudnn_autotuning, Autotuning::automatic);
  EXPECT_EQ(load("").precision, Arithmetic::automatic);
  for (const char* off : {"off", "\"off\""}) {
    EXPECT_EQ(load(concat("cuda_graphs: ", off)).cuda_graphs, Feature::off);
    EXPECT_EQ(load("", {concat("own_cuda_kernels=", off)}).own_cuda_kernels, Feature::off);
    EXPECT_EQ(load(concat("cudnn_autotuning: ", off)).cudnn_autotuning, Autotuning::off);
  }
  EXPECT_EQ(load("cudnn_autotuning: on").cudnn_autotuning, Autotuning::on);
  // What a run writes is text in YAML 1.1 too, where a plain off is false.
  EXPECT_THAT(to_yaml(load("cuda_graphs: off")), HasSubstr("\ncuda_graphs: \"off\"\n"));
  // These two were true or false once.
  for (const char* key : {"cuda_graphs", "own_cuda_kernels"}) {
    for (const char* old : {"true", "false", "yes"}) {
      EXPECT_THAT(refusal(concat(key, ": ", old)),
                  HasSubstr(concat(key, " = ", old, ": must be auto (on wherever")));
    }
  }
  EXPECT_THAT(refusal("precision: fp64"), HasSubstr("must be one of auto, fp32, tf32, bf16"));
}

TEST_F(ConfigYaml, NullIsNoneWhereThereIsANone) {
  for (const char* null : {"null", "~", "Null", ""}) {
    const RunConfig config = load(concat("train: {clip_grad_norm: ", null, "}\ndata: {path: ", null,
                                         "}\nmodel: {channel_mult: ", null, "}\n"));
    EXPECT_EQ(flatten(config), flatten(RunConfig())) << null;
    EXPECT_THAT(refusal(concat("train: {decay_every: ", null, "}")),
                AllOf(StartsWith(at_line(1) + "train.decay_every: has no value"),
                      HasSubstr("an integer in 0.."), HasSubstr("200000")));
  }
  EXPECT_EQ(load("train: {max_minutes: 5}", {"train.max_minutes=null"}).train.max_minutes, 0.0);
  EXPECT_EQ(load("data: {path: /x}", {"data.path=~"}).data.path, "");
  // Nothing at all is more often a variable of the shell that is not set.
  EXPECT_THAT(refusal("", {"data.path="}),
              AllOf(StartsWith("--set data.path=: data.path: no value"), HasSubstr("null")));
  EXPECT_THAT(refusal("", {"model.kind="}),
              AllOf(StartsWith("--set model.kind=: "), HasSubstr("one of unet, mlp")));
}

}  // namespace
}  // namespace cdm
