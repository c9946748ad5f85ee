// SPDX-License-Identifier: MIT
// A YAML text as one document, and the entries of its maps with the merge keys of YAML 1.1 (<<)
// carried out.
#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <string>
#include <vector>

namespace cdm {

/// Where a line of the text (counted from 0) is, for messages: "config.yaml:12" or "--set a.b=c".
using PlaceOf = std::function<std::string(int line)>;

/// Parses the text. Throws UserError for text that is no YAML, or that goes on after the end of the
/// first document: with a second document, or with anything else but remarks and an end mark.
YAML::Node parse_document(const std::string& text, const PlaceOf& place);

struct Entry {
  std::string key;
  YAML::Node value;
  std::string where;
};

/// The entries of a map: its own in their order, then those of the maps that `<<: *name` or
/// `<<: [*first, *second]` names. The map's own entries win over merged ones, and earlier maps over
/// later ones. A key that the map itself gives twice is in the result twice. Throws UserError for a
/// key that is no scalar, a second `<<`, a `<<` of something else, and maps that merge themselves.
std::vector<Entry> entries_of(const YAML::Node& map, const PlaceOf& place);

}  // namespace cdm
