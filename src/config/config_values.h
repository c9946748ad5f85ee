// SPDX-License-Identifier: MIT
// Values of the configuration as text, and their legal values in words.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "cdm/core/text.h"
#include "config/config_keys.h"

namespace cdm {

/// As YAML. Numbers are printed so that reading them gives the same number.
std::string to_text(const std::string& value);
std::string to_text(bool value);
std::string to_text(std::int64_t value);
std::string to_text(double value);
std::string to_text(const std::vector<std::int64_t>& value);

template <class Kind>
requires std::is_enum_v<Kind> std::string to_text(Kind value) { return name_of(value); }

/// What a value of the field's type must be: "an integer in 0..10", "one of a, b", ...
std::string describe(const std::string& field, const Legal& legal);
std::string describe(bool field, const Legal& legal);
std::string describe(std::int64_t field, const Legal& legal);
std::string describe(double field, const Legal& legal);
std::string describe(const std::vector<std::int64_t>& field, const Legal& legal);

template <class Kind>
requires std::is_enum_v<Kind> std::string describe(Kind /*field*/, const Legal& legal) {
  return "one of " + join(legal.choices.empty() ? names_of<Kind>() : legal.choices, ", ");
}

}  // namespace cdm
