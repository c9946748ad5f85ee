// SPDX-License-Identifier: MIT
// Declarations of configuration keys that say which kinds a key is for: giving the key to another
// kind is refused, and the code does ignore it there, and nowhere else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/file.h"
#include "cdm/core/log.h"
#include "cdm/run/trainer.h"
#include "config/keys.h"
#include "files.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

/// Keys by full name, and what is written for them.
using Written = std::map<std::string, std::string>;

std::string yaml_of(const Written& keys) {
  std::string top;
  std::map<std::string, std::vector<std::string>> sections;
  for (const auto& [name, value] : keys) {
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos) {
      top += concat(name, ": ", value, "\n");
    } else {
      sections[name.substr(0, dot)].push_back(concat(name.substr(dot + 1), ": ", value));
    }
  }
  for (const auto& [section, values] : sections) {
    top += concat(section, ": {", join(values, ", "), "}\n");
  }
  return top;
}

/// One configuration for each kind of each sort: what it takes to choose that kind.
std::vector<Written> every_kind() {
  std::vector<Written> all;
  for (const std::string& name : names_of<DataKind>()) all.push_back({{"data.kind", name}});
  for (const std::string& name : names_of<ToyKind>()) {
    all.push_back({{"data.kind", "toy"}, {"data.toy", name}});
  }
  for (const std::string& name : names_of<ScheduleKind>()) {
    all.push_back({{"diffusion.schedule", name}});
  }
  for (const std::string& name : names_of<NetworkKind>()) all.push_back({{"model.kind", name}});
  for (const std::string& name : names_of<HeadKind>()) {
    all.push_back({{"model.kind", "unet"}, {"model.head", name}});
  }
  for (const std::string& name : names_of<AnchorKind>()) all.push_back({{"model.anchor", name}});
  for (const std::string& name : names_of<Prediction>()) {
    all.push_back({{"model.predicts", name}});
    if (name == "noise") all.back()["loss.kind"] = "denoising";
  }
  for (const auto& [kind, name] : KindNames<ObjectiveKind>::all) {
    all.push_back({{"loss.kind", std::string(name)}});
    if (prediction_for(kind) == Prediction::noise) all.back()["model.predicts"] = "noise";
  }
  for (const std::string& name : names_of<MseWeighting>()) {
    all.push_back({{"loss.mse_weighting", name}});
  }
  for (const std::string& name : names_of<LearningRateSchedule>()) {
    all.push_back({{"train.learning_rate_schedule", name}});
  }
  for (const std::string& name : names_of<OptimizerKind>()) {
    all.push_back({{"train.optimizer", name}});
  }
  for (const std::string& name : names_of<AverageKind>()) {
    all.push_back({{"train.ema_kind", name}});
  }
  for (const std::string& name : names_of<SamplerKind>()) {
    all.push_back({{"sample.sampler", name}});
  }
  all.push_back({{"model.num_classes", "2"}});
  return all;
}

/// A legal value that is not the one in `config`, and such that any network can be built with it.
std::string another_value(const Key& key, const RunConfig& config) {
  if (key.full_name() == "model.channels") return "16";  // a multiple of the groups
  for (const char* text :
       {"0.05",     "0.5",        "3",       "2",          "5",        "true",  "false",
        "[1]",      "[8]",        "[0.25]",  "uniform",    "gaussian", "peaks", "none",
        "trailing", "stratified", "log_snr", "likelihood", "flat",     "kl",    "pooled_inner",
        "pooled"}) {
    RunConfig changed = config;
    if (key.read(YAML::Load(text), changed) && key.text(changed) != key.text(config)) return text;
  }
  ADD_FAILURE() << "no other value for " << key.full_name();
  return "";
}

class Keys : public test::FilesTest {
 protected:
  RunConfig load(Written keys, const std::vector<std::string>& overrides = {}) const {
    if (keys["loss.kind"] == "nce") keys.emplace("diffusion.steps", "0");  // as it must be
    std::erase_if(keys, [](const auto& key) { return key.second.empty(); });
    test::overwrite(file_, yaml_of(keys));
    return load_config(file_, overrides);
  }
  std::string refusal(const Written& keys, const std::vector<std::string>& overrides = {}) const {
    return test::user_error([&] { load(keys, overrides); });
  }

  std::filesystem::path file_ = folder_ / "a.yaml";
};

TEST_F(Keys, GivenToAKindThatTheyAreNotForAreRefusedByName) {
  for (const Key& key : config_keys()) {
    const std::string name = key.full_name();
    int kinds = 0, others = 0;
    for (const Written& kind : every_kind()) {
      if (kind.contains(name)) continue;  // the key that chooses this kind
      const RunConfig config = load(kind);
      const std::string value = key.text(config);
      Written given = kind;
      given[name] = value;
      const std::string setting = concat(name, "=", value);
      SCOPED_TRACE(yaml_of(given));
      if (key.applies_to(config)) {
        ++kinds;
        EXPECT_EQ(flatten(load(given)), flatten(config));
        EXPECT_EQ(flatten(load(kind, {setting})), flatten(config));
        continue;
      }
      ++others;
      // Which of several conditions is not met depends on the kind.
      const std::string what = concat(": ", name, " = ", value, ": is only for ");
      EXPECT_THAT(refusal(given),
                  AllOf(StartsWith(file_.string() + ":"), HasSubstr(what), HasSubstr("; here ")));
      EXPECT_THAT(refusal(kind, {setting}), StartsWith(concat("--set ", setting, what)));
    }
    EXPECT_GT(kinds, 0) << name;
    EXPECT_EQ(others > 0, !key.conditions.empty()) << name;
  }
}

TEST_F(Keys, TheRefusalSaysWhatTheKeyIsForAndWhatWasChosen) {
  EXPECT_EQ(
      refusal({{"sample.sampler", "heun"}, {"sample.eta", "0.5"}}),
      file_.string() +
          ":1: sample.eta = 0.5: is only for sample.sampler = ddim; here sample.sampler = heun");
  EXPECT_EQ(
      refusal({{"loss.kind", "nce"}}, {"loss.mse_weight=0"}),
      "--set loss.mse_weight=0: loss.mse_weight = 0: is only for loss.kind = cdm or subset or "
      "pairs or time_score or denoising; here loss.kind = nce");
  EXPECT_THAT(refusal({{"data.kind", "toy"}, {"data.path", "x"}}),
              HasSubstr("is only for data.kind other than toy, or data.toy = gaussian; here "
                        "data.toy = uniform"));
}

TEST_F(Keys, OfTheFileYieldToKindsThatAnOverrideChooses) {
  const Written file = {{"sample.eta", "0.5"},
                        {"model.dropout", "0.3"},
                        {"data.path", "images"},
                        {"diffusion.beta_end", "0.1"}};
  const RunConfig heun = load(file, {"sample.sampler=heun"});
  EXPECT_EQ(heun.sample.eta, RunConfig().sample.eta);
  EXPECT_EQ(heun.model.dropout, 0.3);
  const RunConfig other =
      load(file, {"model.kind=mlp", "data.kind=toy", "diffusion.schedule=cosine"});
  EXPECT_EQ(other.model.dropout, RunConfig().model.dropout);
  EXPECT_EQ(other.data.path, "");
  EXPECT_EQ(other.diffusion.beta_end, RunConfig().diffusion.beta_end);
  EXPECT_EQ(other.sample.eta, 0.5);
  // The order of overrides means nothing; what an override gives must have a meaning.
  EXPECT_EQ(load(file, {"sample.eta=1", "sample.sampler=ddim"}).sample.eta, 1.0);
  EXPECT_THAT(refusal(file, {"sample.eta=1", "sample.sampler=heun"}),
              StartsWith("--set sample.eta=1: sample.eta = 1: is only for "));
  // A file is judged by its own kinds, whatever is chosen over it.
  EXPECT_THAT(refusal({{"sample.sampler", "heun"}, {"sample.eta", "0.5"}}, {"sample.sampler=ddim"}),
              HasSubstr("sample.eta = 0.5: is only for "));
}

TEST_F(Keys, WithoutMeaningAreNotWrittenAndTheRestReadsTheSame) {
  for (const Written& kind : every_kind()) {
    const RunConfig config = load(kind);
    SCOPED_TRACE(yaml_of(kind));
    const std::string text = to_yaml(config);
    test::overwrite(file_, text);
    EXPECT_EQ(to_yaml(load_config(file_)), text);
    for (const Key& key : config_keys()) {
      const std::string line =
          concat("\n", key.section.empty() ? "" : "  ", key.name, ": ", key.text(config), "\n");
      if (key.applies_to(config)) {
        EXPECT_THAT("\n" + text, HasSubstr(line));
      }
      EXPECT_EQ(flatten(config).contains(key.full_name()), key.applies_to(config));
    }
  }
}

// forbidden_changes() relies on it: of two configurations of which one has the key, a key that is
// fixed differs.
TEST_F(Keys, AFixedKeyIsForKindsThatAreFixed) {
  const auto resume_of = [](const std::string& name) {
    for (const Key& key : config_keys()) {
      if (key.full_name() == name) return key.resume;
    }
    ADD_FAILURE() << "there is no key " << name;
    return Resume::may_change;
  };
  for (const Key& key : config_keys()) {
    for (const KeyCondition& condition : key.conditions) {
      const Resume kind = resume_of(condition.key);
      if (key.resume == Resume::fixed) {
        EXPECT_EQ(kind, Resume::fixed) << key.full_name();
      }
    }
  }
}

/// What comes of a run: weights, pictures, and scores of the test images.
std::string outcome(const RunConfig& config, const std::filesystem::path& folder) {
  std::filesystem::remove_all(folder);
  Trainer(config, RunDir(folder), at::kCPU).run();
  std::string all;
  std::error_code none;
  for (const char* const kept : {"checkpoints", "averages"}) {
    for (const std::filesystem::path& checkpoint : list_checkpoints(folder / kept)) {
      all += kept + checkpoint.filename().string();
      for (const std::string& weights : weights_names()) {
        const std::filesystem::path file = checkpoint / (weights + ".safetensors");
        if (std::filesystem::exists(file)) all += weights + read_file(file);
      }
    }
  }
  for (const auto& picture : std::filesystem::directory_iterator(folder / "samples", none)) {
    all += picture.path().filename().string() + read_file(picture.path());
  }
  std::ifstream lines(folder / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const auto metrics = nlohmann::json::parse(line);
    for (const auto& [name, value] : metrics.items()) {
      if (name.starts_with("test_")) all += name + value.dump();
    }
  }
  return all;
}

class IgnoredKeys : public Keys {
 protected:
  IgnoredKeys() {
    test::write_images((folder_ / "a.npz").string(), 8, false, 1);
    test::write_images((folder_ / "b.npz").string(), 8, false, 2);
  }

  /// A run of a moment; nothing when the test has no data of that kind.
  std::optional<RunConfig> small_run(const Written& kind) const {
    Written keys = {
        {"model.kind", "mlp"},     {"data.kind", "npz"},        {"data.image_size", "8"},
        {"data.channels", "1"},    {"diffusion.steps", "6"},    {"data.horizontal_flip", "false"},
        {"train.iterations", "2"}, {"train.batch_size", "4"},   {"train.warmup", "0"},
        {"train.ema_start", "0"},  {"train.sample_every", "2"}, {"train.sample_count", "2"},
        {"sample.steps", "3"},     {"train.log_every", "1"},    {"train.learning_rate", "0.1"}};
    for (const auto& [name, value] : kind) keys[name] = value;
    if (keys["model.predicts"].empty()) keys["model.predicts"] = "logits";
    if (keys["model.kind"] == "unet") {
      keys["model.channel_mult"] = "[1, 2]";
      keys["model.attention_resolutions"] = "[4]";
    }
    if (keys["loss.kind"] == "time_score") keys["loss.time_score_from"] = "3";
    if (keys["loss.kind"] == "nce") {  // it learns two levels, between which nothing is drawn
      keys["diffusion.steps"] = "0";
      keys["train.sample_every"] = "0";
    }
    // The second of two steps is one with a lower learning rate.
    const std::string schedule = keys["train.learning_rate_schedule"];
    if (schedule.empty() || schedule == "steps") keys["train.decay_every"] = "1";
    if (schedule == "warmdown") keys["train.warmdown"] = "0.9";
    if (keys["train.ema_kind"] == "power") {
      keys["train.ema_start"] = "";  // it is for the others
      keys["train.average_every"] = "1";
    }
    if (keys["data.kind"] == "toy") keys["data.toy_images"] = "20";
    if (keys["data.kind"] != "toy" && keys["data.kind"] != "npz") return std::nullopt;
    if (kind.contains("model.num_classes")) return std::nullopt;  // the images have no labels
    RunConfig config = load(keys);
    config.model.channels = 8;  // also where the network ignores them
    config.model.res_blocks = keys["train.optimizer"] == "muon" ? 2 : 1;  // one is hidden
    config.data.path = config.data.test_path = (folder_ / "a.npz").string();
    if (config.model.predicts == Prediction::logits) config.train.nll_every = 2;
    return config;
  }

  void change(const Key& key, RunConfig& config) const {
    if (key.full_name() == "data.path" || key.full_name() == "data.test_path") {
      const std::string other = (folder_ / "b.npz").string();
      ASSERT_TRUE(key.read(YAML::Load(other), config));
    } else {
      ASSERT_TRUE(key.read(YAML::Load(another_value(key, config)), config)) << key.full_name();
    }
  }
};

/// Whether the key may be for some of the kinds only among which `kind` chooses.
bool depends_on(const Key& key, const Written& kind) {
  return std::any_of(kind.begin(), kind.end(), [&](const auto& chosen) {
    return chosen.first.starts_with(key.section + ".") ||
           std::any_of(
               key.conditions.begin(), key.conditions.end(),
               [&](const KeyCondition& condition) { return condition.key == chosen.first; });
  });
}

/// Keys that all kinds read, but that do not change this small run, or not by themselves.
bool is_left_out(const Key& key, const RunConfig& config) {
  static const std::set<std::string> kinds = {"data.kind",
                                              "diffusion.schedule",
                                              "model.kind",
                                              "model.predicts",
                                              "loss.kind",
                                              "sample.sampler",
                                              "train.learning_rate_schedule",
                                              "train.optimizer",
                                              "train.ema_kind"};
  static const std::set<std::string> of_classes = {"model.num_classes", "loss.label_dropout",
                                                   "sample.guidance"};
  static const std::set<std::string> of_images = {"data.image_size", "data.channels",
                                                  "data.horizontal_flip"};
  const std::string name = key.full_name();
  const bool is_same_for_all =
      key.conditions.empty() && (key.section.empty() || key.section == "train");
  // Test images are scored by models with a density only.
  const bool is_test_data = name == "data.test_path" && config.model.predicts == Prediction::noise;
  return kinds.contains(name) || of_classes.contains(name) || of_images.contains(name) ||
         is_same_for_all || is_test_data;
}

// A key that is not for the kinds of a run changes nothing of it, whatever its value; one that is
// changes it. So neither is a key declared for too few kinds, nor for one that ignores it.
TEST_F(IgnoredKeys, AreThoseThatAreDeclaredForOtherKinds) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "some hundred short runs";
#endif
  std::set<std::string> seen;
  for (const Written& kind : every_kind()) {
    const std::optional<RunConfig> config = small_run(kind);
    if (!config) continue;
    SCOPED_TRACE(yaml_of(kind));
    const std::string expected = outcome(*config, folder_ / "run");
    RunConfig others = *config;
    for (const Key& key : config_keys()) {
      if (!key.applies_to(*config)) {
        change(key, others);
      } else if (depends_on(key, kind) && !is_left_out(key, *config)) {
        RunConfig changed = *config;
        change(key, changed);
        EXPECT_TRUE(outcome(changed, folder_ / "run") != expected) << key.full_name();
        seen.insert(key.full_name());
      }
    }
    EXPECT_TRUE(outcome(others, folder_ / "run") == expected)
        << "a key of other kinds has an effect";
  }
  for (const Key& key : config_keys()) {
    // tests/files/test_unreadable_pictures.cpp and tests/programs/test_classes.cpp have the data
    // that these keys need.
    static const std::set<std::string> elsewhere = {"data.skip_unreadable", "model.class_names",
                                                    "model.untrained_classes"};
    if (!key.conditions.empty() && !elsewhere.contains(key.full_name())) {
      EXPECT_TRUE(seen.contains(key.full_name())) << key.full_name();
    }
  }
}

}  // namespace
}  // namespace cdm
