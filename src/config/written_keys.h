// SPDX-License-Identifier: MIT
// Keys and values as the user wrote them, in a file or with --set, before they are converted.
#pragma once

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace cdm {

/// The value of one key, and the place where it was written, for error messages.
struct Written {
  YAML::Node value;
  std::string where;  // "config.yaml:12" or "--set a.b=c"
};

/// Full name ("section.key") -> value.
using WrittenKeys = std::map<std::string, Written>;

/// Reads the keys of a YAML file. Throws UserError for a file that cannot be read, bad YAML, and an
/// unknown or repeated key.
WrittenKeys read_yaml(const std::filesystem::path& file);

/// Reads the keys of a YAML text. Messages begin with `source`.
WrittenKeys parse_yaml(const std::string& text, const std::string& source);

/// Reads "section.key=value" texts; the last one for a key wins. Throws UserError for a text of
/// another form, bad YAML, and an unknown key.
WrittenKeys read_overrides(const std::vector<std::string>& texts);

/// A value on one line, for error messages.
std::string as_written(const YAML::Node& node);

}  // namespace cdm
