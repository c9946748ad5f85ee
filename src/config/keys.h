// SPDX-License-Identifier: MIT
// What is declared of a configuration key, and the table of all keys. The declarations themselves
// are in keys.cpp; everything that depends on a key (reading, checks, config.yaml of a run, help,
// docs/configuration.md, what may change when a run goes on) asks this table.
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

/// Legal values of a key. Bounds are inclusive, and hold for each element of a list.
struct Legal {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool may_be_empty = true;               // of lists
  std::vector<std::string> choices = {};  // of names and text; empty = any
};

/// Whether a run that goes on may give a key another value than it began with.
enum class Resume {
  fixed,       // no: the key says what the network is, or what it has been trained on, and how
  may_change,  // yes
};

/// What the configuration must be for a key to have a meaning.
struct Condition {
  std::string key;    // the key that decides: "sample.sampler"
  std::string words;  // "sample.sampler = ddim"
  std::function<bool(const RunConfig&)> holds;
};

struct Key {
  std::string section;  // empty at the top level
  std::string name;     // within the section
  std::string legal;    // what a value must be, in words: "an integer in 0..10"
  std::string help;
  Resume resume = Resume::fixed;
  std::vector<Condition> conditions = {};  // all must hold; none: the key has always a meaning

  std::function<void(RunConfig&)> set_default;
  /// Sets the value; false when `node` has another type or is not legal, and the value is then
  /// unspecified.
  std::function<bool(const YAML::Node& node, RunConfig&)> read;
  std::function<std::string(const RunConfig&)> text;  // the value as YAML

  /// "section.name"
  std::string full_name() const;
  /// Whether the key has a meaning in this configuration.
  bool applies_to(const RunConfig& config) const;
  /// "sample.sampler = ddim"; empty for a key that has always a meaning.
  std::string only_for() const;

  // For declarations.
  Key& only(Condition condition) {
    conditions.push_back(std::move(condition));
    return *this;
  }
  Key& may_change() {
    resume = Resume::may_change;
    return *this;
  }
};

/// All keys, those of a section together, in the order of the reference page.
const std::vector<Key>& config_keys();

/// The value of the key with that full name, as YAML.
std::string value_of(const std::string& full_name, const RunConfig& config);

}  // namespace cdm
