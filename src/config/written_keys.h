// SPDX-License-Identifier: MIT
// Keys as a user wrote them, in a file or with --set.
#pragma once

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace cdm {

/// The value of one key, and where it was written, for messages.
struct Written {
  YAML::Node value;
  std::string where;  // "config.yaml:12" or "--set a.b=c"
};

/// By full name.
using WrittenKeys = std::map<std::string, Written>;

/// The keys of a YAML file. Throws UserError for a file that cannot be read, bad YAML, and an
/// unknown or repeated key.
WrittenKeys read_yaml(const std::filesystem::path& file);

/// The keys of "section.key=value" texts; the last one of a key wins. Throws UserError for one of
/// another form, bad YAML, and an unknown key.
WrittenKeys read_overrides(const std::vector<std::string>& texts);

/// A value on one line, for messages.
std::string as_written(const YAML::Node& node);

}  // namespace cdm
