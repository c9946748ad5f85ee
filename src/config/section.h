// SPDX-License-Identifier: MIT
// Helpers with which the files keys*.cpp declare keys: a key is a field of RunConfig or of one of
// its sections.
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/keys.h"
#include "config/values.h"

namespace cdm {

/// Declares a key for the field that `access` returns from a RunConfig.
template <class Value, class Access>
Key make_key(std::string section, std::string name, const Access& access, Value default_value,
             Legal legal, std::string help) {
  Key key;
  key.section = std::move(section);
  key.name = std::move(name);
  key.legal = describe(default_value, legal);
  key.help = std::move(help);
  key.read = [access, legal](const YAML::Node& node, RunConfig& config) {
    return read(node, access(config)) && is_legal(access(config), legal);
  };
  key.set_default = [access, value = std::move(default_value)](RunConfig& config) {
    access(config) = value;
  };
  key.text = [access](const RunConfig& config) { return to_text(access(config)); };
  return key;
}

/// Adds the keys of one section of RunConfig to a table. The reference that key() returns is valid
/// until the next call.
template <class Fields>
class Section {
 public:
  Section(std::vector<Key>& table, std::string name, Fields RunConfig::*section)
      : table_(table), name_(std::move(name)), section_(section) {}

  template <class Value>
  Key& key(const char* name, Value Fields::*field, std::type_identity_t<Value> default_value,
           const Legal& legal, const char* help) {
    const auto access = [ section = section_, field ](auto& config) -> auto& {
      return (config.*section).*field;
    };
    table_.push_back(make_key<Value>(name_, name, access, std::move(default_value), legal, help));
    return table_.back();
  }

 private:
  std::vector<Key>& table_;
  std::string name_;
  Fields RunConfig::*section_;
};

/// The same for keys at the top level, which belong to no section.
class TopLevel {
 public:
  explicit TopLevel(std::vector<Key>& table) : table_(table) {}

  template <class Value>
  Key& key(const char* name, Value RunConfig::*field, std::type_identity_t<Value> default_value,
           const Legal& legal, const char* help) {
    const auto access = [field](auto& config) -> auto& { return config.*field; };
    table_.push_back(make_key<Value>("", name, access, std::move(default_value), legal, help));
    return table_.back();
  }

 private:
  std::vector<Key>& table_;
};

}  // namespace cdm
