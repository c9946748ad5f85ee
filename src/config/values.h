// SPDX-License-Identifier: MIT
// Values of configuration keys: writing and reading them as YAML, checking whether they are legal,
// and describing in words what is legal. One overload for each type that a key may have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "cdm/config/kinds.h"
#include "cdm/core/text.h"
#include "config/keys.h"

namespace cdm {

/// The value as YAML text. Numbers are written with as many digits as reading them back needs.
std::string to_text(const std::string& value);
std::string to_text(bool value);
std::string to_text(std::int64_t value);
std::string to_text(double value);
std::string to_text(const std::vector<std::int64_t>& value);
std::string to_text(const std::vector<double>& value);
std::string to_text(const std::vector<std::string>& value);

/// Reads `node` into `field`, plain scalars as scalars.h says. Returns false when `node` has
/// another type; `field` is then unspecified. NaN, infinity and null are not accepted.
bool read(const YAML::Node& node, std::string& field);
bool read(const YAML::Node& node, bool& field);
bool read(const YAML::Node& node, std::int64_t& field);
bool read(const YAML::Node& node, double& field);
bool read(const YAML::Node& node, std::vector<std::int64_t>& field);
bool read(const YAML::Node& node, std::vector<double>& field);
bool read(const YAML::Node& node, std::vector<std::string>& field);

bool is_legal(const std::string& value, const Legal& legal);
bool is_legal(bool value, const Legal& legal);
bool is_legal(std::int64_t value, const Legal& legal);
bool is_legal(double value, const Legal& legal);
bool is_legal(const std::vector<std::int64_t>& values, const Legal& legal);
bool is_legal(const std::vector<double>& values, const Legal& legal);
bool is_legal(const std::vector<std::string>& values, const Legal& legal);

/// What a value of the field's type must be: "an integer in 0..10", "one of a, b", ... The value of
/// `field` is not used, only its type.
std::string describe(const std::string& field, const Legal& legal);
std::string describe(bool field, const Legal& legal);
std::string describe(std::int64_t field, const Legal& legal);
std::string describe(double field, const Legal& legal);
std::string describe(const std::vector<std::int64_t>& field, const Legal& legal);
std::string describe(const std::vector<double>& field, const Legal& legal);
std::string describe(const std::vector<std::string>& field, const Legal& legal);

// Enum classes of kinds.h, by their names.

template <class Kind>
requires std::is_enum_v<Kind> std::string to_text(Kind value) { return to_text(name_of(value)); }

template <class Kind>
requires std::is_enum_v<Kind>
bool read(const YAML::Node& node, Kind& field) {
  std::string name;
  const std::optional<Kind> kind = read(node, name) ? kind_named<Kind>(name) : std::nullopt;
  if (kind) field = *kind;
  return kind.has_value();
}

template <class Kind>
requires std::is_enum_v<Kind>
bool is_legal(Kind value, const Legal& legal) { return is_legal(name_of(value), legal); }

/// Says what auto means, to those who write true or false.
inline std::string describe(Feature /*field*/, const Legal& /*legal*/) {
  return "auto (on wherever the device and the build have it) or off";
}

template <class Kind>
requires std::is_enum_v<Kind> std::string describe(Kind /*field*/, const Legal& legal) {
  return concat("one of ", join(legal.choices.empty() ? names_of<Kind>() : legal.choices, ", "));
}

}  // namespace cdm
