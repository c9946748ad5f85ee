// SPDX-License-Identifier: MIT
// Plain (unquoted) scalars of YAML, read as people who know YAML 1.1 mean them. Numbers that the
// versions of YAML read differently are not read at all; hint_about() says why.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace YAML {
class Node;
}

namespace cdm {

/// Whole numbers of up to this size, 2^53, are exact as double.
constexpr double kExactAsDouble = 9007199254740992.0;

/// true, yes, on, y and false, no, off, n: in small letters, capitals, or with a first capital.
/// Empty for anything else.
std::optional<bool> plain_bool(std::string_view text);

/// A finite number: 12, -3, +3, 1_000_000, 0x10, 0b101, 0.5, .5, 1., 1e6. An underscore stands
/// between two digits. Empty for anything else, also for a whole number with a leading zero (octal
/// in YAML 1.1, decimal in YAML 1.2) and for 1:30 (base 60 in YAML 1.1, text in YAML 1.2).
std::optional<double> plain_number(std::string_view text);

/// The same for whole numbers: 1000, 1e3 and 1000.0 are the same integer. Numbers in the last two
/// forms are read up to kExactAsDouble. Empty for anything else.
std::optional<std::int64_t> plain_integer(std::string_view text);

/// Whether a scalar is text by its form: quoted, in a block, or with the tag !!str.
bool is_text_by_form(const YAML::Node& node);

/// Whether the node has a tag that means nothing here, such as !include.
bool has_foreign_tag(const YAML::Node& node);

/// Why a scalar, or an element of a list, that looks like a number or like true or false is not
/// read as one, for the end of a message, with "; " before it; empty when there is nothing to say.
std::string hint_about(const YAML::Node& node);

}  // namespace cdm
