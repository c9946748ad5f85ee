// SPDX-License-Identifier: MIT
#include "config/written_keys.h"

#include <set>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "config/document.h"
#include "config/keys.h"
#include "config/scalars.h"

namespace cdm {
namespace {

struct KnownKeys {
  std::map<std::string, const Key*> keys;  // by full name
  std::set<std::string> sections;
};

const KnownKeys& known_keys() {
  static const KnownKeys known = [] {
    KnownKeys found;
    for (const Key& key : config_keys()) {
      found.keys[key.full_name()] = &key;
      if (!key.section.empty()) found.sections.insert(key.section);
    }
    return found;
  }();
  return known;
}

void check_known(const std::string& where, const std::string& name, const YAML::Node& value) {
  const std::map<std::string, const Key*>& keys = known_keys().keys;
  if (keys.contains(name)) return;
  if (known_keys().sections.contains(name)) {
    throw UserError(
        concat(where, ": '", name, "' is a section, not a key; write ", name, ".key=value"));
  }
  std::vector<std::string> names;
  for (const auto& [key, declared] : keys) names.push_back(key);
  const std::string shown = printable(name);
  const std::string known = nearest(shown, names);
  throw UserError(concat(where, ": ", shown, " = ", as_written(value),
                         ": unknown key; the nearest known key is ", known, ", ",
                         keys.at(known)->legal));
}

/// Whether an entry at the top level is there for its anchors only, and is not read otherwise.
bool is_for_anchors(const std::string& key) {
  return key.starts_with("x-") || key.starts_with('.');
}

void collect(const YAML::Node& map, const PlaceOf& place, const std::string& section,
             WrittenKeys& out) {
  for (const auto& [key, value, where] : entries_of(map, place)) {
    if (section.empty() && is_for_anchors(key)) continue;
    const std::string name = section.empty() ? key : concat(section, ".", key);
    if (section.empty() && known_keys().sections.contains(name)) {
      if (value.IsNull()) continue;  // an empty section
      if (!value.IsMap() || has_foreign_tag(value)) {
        throw UserError(concat(where, ": section '", name, "' must hold keys with values, not ",
                               as_written(value)));
      }
      collect(value, place, name, out);
      continue;
    }
    if (section.empty() && value.IsMap() && !known_keys().keys.contains(name)) {
      const std::set<std::string>& sections = known_keys().sections;
      const std::string shown = printable(name);
      throw UserError(concat(where, ": ", shown, ": unknown section; the nearest known section is ",
                             nearest(shown, {sections.begin(), sections.end()})));
    }
    check_known(where, name, value);
    if (out.contains(name)) {
      throw UserError(
          concat(where, ": '", name, "' is given twice; first at ", out.at(name).where));
    }
    out[name] = {value, where};
  }
}

}  // namespace

WrittenKeys read_yaml(const std::filesystem::path& file) {
  return parse_yaml(read_file(file), file.string());
}

WrittenKeys parse_yaml(const std::string& text, const std::string& source) {
  const auto place = [&](int line) { return concat(source, ":", line + 1); };
  WrittenKeys written;
  const YAML::Node root = parse_document(text, place);
  if (root.IsNull()) return written;
  if (!root.IsMap()) throw UserError(concat(source, ": must hold keys with values"));
  collect(root, place, "", written);
  return written;
}

WrittenKeys read_overrides(const std::vector<std::string>& texts) {
  WrittenKeys written;
  for (const std::string& text : texts) {
    const std::string where = concat("--set ", printable(text));
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UserError(concat(where, ": must have the form section.key=value"));
    }
    const std::string name = text.substr(0, equals);
    const YAML::Node value = parse_document(text.substr(equals + 1), [&](int) { return where; });
    check_known(where, name, value);
    if (text.find_first_not_of(" \t", equals + 1) == std::string::npos) {
      const Key& key = *known_keys().keys.at(name);
      throw UserError(concat(where, ": ", name, ": no value is given; it must be ", key.legal,
                             key.may_be_null() ? "; for none, write null" : ""));
    }
    written[name] = {value, where};
  }
  return written;
}

std::string as_written(const YAML::Node& node) {
  YAML::Emitter out;
  out.SetSeqFormat(YAML::Flow);
  out.SetMapFormat(YAML::Flow);
  out << node;
  return printable(out.c_str());
}

}  // namespace cdm
