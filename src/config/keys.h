// SPDX-License-Identifier: MIT
// The declaration of a configuration key, and the table of all keys, which keys.cpp makes. All
// other code about keys (reading, checks, a run's config.yaml, help, docs/configuration.md, what
// may change when a run is resumed) uses this table.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "cdm/config/config.h"

namespace YAML {
class Node;
}

namespace cdm {

/// Legal values of a key. Bounds are inclusive; those of a list hold for each element.
struct Legal {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  // for text and names of kinds; empty = any
};

/// Whether a resumed run may have another value of a key than the run was started with.
enum class Resume {
  fixed,       // no: the key says what the network is, or what it is trained on and how
  may_change,  // yes
};

/// A condition on the configuration under which a key has a meaning.
struct KeyCondition {
  std::string key;    // the key that decides, such as "sample.sampler"
  std::string words;  // the condition in words, such as "sample.sampler = ddim"
  std::function<bool(const RunConfig&)> holds;
};

struct Key {
  std::string section;  // empty at the top level
  std::string name;     // within the section
  std::string legal;    // what a value must be, in words: "an integer in 0..10"
  std::string help;
  Resume resume = Resume::fixed;
  bool set_afterwards = false;  // whether --set of cdm-sample, cdm-nll and cdm-eval may set it
  std::vector<KeyCondition> conditions = {};  // all must hold; empty: the key always has a meaning

  /// Sets the default. It may depend on keys that come earlier in the table.
  std::function<void(RunConfig&)> set_default;
  std::string default_words = {};  // the default in words, where it depends on other keys
  /// Sets the value from YAML. Returns false when `node` has another type or is not legal; the
  /// value is then unspecified.
  std::function<bool(const YAML::Node& node, RunConfig&)> read;
  std::function<std::string(const RunConfig&)> text;  // the value as YAML

  /// The default for help texts: in words, or its value as YAML.
  std::string default_text() const;
  /// Whether `null` is a value of the key: where the default stands for nothing (0, false, an empty
  /// text or list) or depends on other keys. It then means the default.
  bool may_be_null() const;

  /// "section.name", or "name" at the top level.
  std::string full_name() const;
  /// Whether the key has a meaning in this configuration.
  bool applies_to(const RunConfig& config) const;
  /// The conditions in words, such as "sample.sampler = ddim"; empty when there are none.
  std::string only_for() const;

  // Used in declarations, to add to what make_key() has set.
  Key& only(KeyCondition condition) {
    conditions.push_back(std::move(condition));
    return *this;
  }
  Key& may_change() {
    resume = Resume::may_change;
    return *this;
  }
  /// The key says where data are, or how a trained model is computed or sampled. Programs that load
  /// a trained model read it, and their --set may set it.
  Key& may_set_afterwards() {
    set_afterwards = true;
    return *this;
  }
  Key& default_from(std::string words, std::function<void(RunConfig&)> set) {
    default_words = std::move(words);
    set_default = std::move(set);
    return *this;
  }
};

/// All keys in the order of docs/configuration.md. Keys of one section follow one another.
const std::vector<Key>& config_keys();

/// The value of the key with that full name, as YAML text. The key must exist.
std::string value_of(const std::string& full_name, const RunConfig& config);

}  // namespace cdm
