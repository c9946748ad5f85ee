// SPDX-License-Identifier: MIT
#include "config/written_keys.h"

#include <set>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "config/keys.h"

namespace cdm {
namespace {

struct KnownKeys {
  std::map<std::string, std::string> keys;  // full name -> what a value must be, in words
  std::set<std::string> sections;
};

const KnownKeys& known_keys() {
  static const KnownKeys known = [] {
    KnownKeys found;
    for (const Key& key : config_keys()) {
      found.keys[key.full_name()] = key.legal;
      if (!key.section.empty()) found.sections.insert(key.section);
    }
    return found;
  }();
  return known;
}

void check_known(const std::string& where, const std::string& name, const YAML::Node& value) {
  const std::map<std::string, std::string>& keys = known_keys().keys;
  if (keys.contains(name)) return;
  std::vector<std::string> names;
  for (const auto& [key, legal] : keys) names.push_back(key);
  const std::string shown = printable(name);
  const std::string known = nearest(shown, names);
  throw UserError(concat(where, ": ", shown, " = ", as_written(value),
                         ": unknown key; the nearest known key is ", known, ", ", keys.at(known)));
}

void collect(const YAML::Node& map, const std::string& file, const std::string& section,
             WrittenKeys& out) {
  for (const auto& entry : map) {
    const std::string where = concat(file, ":", entry.first.Mark().line + 1);
    if (!entry.first.IsScalar()) throw UserError(concat(where, ": a key must be a word"));
    const std::string& key = entry.first.Scalar();
    const std::string name = section.empty() ? key : concat(section, ".", key);
    if (section.empty() && known_keys().sections.contains(name)) {
      if (!entry.second.IsMap()) {
        throw UserError(concat(where, ": section '", name, "' must hold keys with values, not ",
                               as_written(entry.second)));
      }
      collect(entry.second, file, name, out);
      continue;
    }
    if (section.empty() && entry.second.IsMap() && !known_keys().keys.contains(name)) {
      const std::set<std::string>& sections = known_keys().sections;
      const std::string shown = printable(name);
      throw UserError(concat(where, ": ", shown, ": unknown section; the nearest known section is ",
                             nearest(shown, {sections.begin(), sections.end()})));
    }
    check_known(where, name, entry.second);
    if (out.contains(name)) {
      throw UserError(
          concat(where, ": '", name, "' is given twice; first at ", out.at(name).where));
    }
    out[name] = {entry.second, where};
  }
}

}  // namespace

WrittenKeys read_yaml(const std::filesystem::path& file) {
  return parse_yaml(read_file(file), file.string());
}

WrittenKeys parse_yaml(const std::string& text, const std::string& source) {
  WrittenKeys written;
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return written;
    if (!root.IsMap()) throw UserError(concat(source, ": must hold keys with values"));
    collect(root, source, "", written);
  } catch (const YAML::Exception& error) {
    throw UserError(concat(source, ":", error.mark.line + 1, ": not YAML: ", printable(error.msg)));
  }
  return written;
}

WrittenKeys read_overrides(const std::vector<std::string>& texts) {
  WrittenKeys written;
  for (const std::string& text : texts) {
    const std::string where = "--set " + text;
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UserError(concat(where, ": must have the form section.key=value"));
    }
    const std::string name = text.substr(0, equals);
    try {
      const YAML::Node value = YAML::Load(text.substr(equals + 1));
      check_known(where, name, value);
      written[name] = {value, where};
    } catch (const YAML::Exception& error) {
      throw UserError(concat(where, ": not YAML: ", printable(error.msg)));
    }
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
