// SPDX-License-Identifier: MIT
#include "config/values.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "config/scalars.h"

namespace cdm {
namespace {

/// A bound as text; whole numbers are written without an exponent.
std::string bound(double value) {
  const bool is_whole = std::trunc(value) == value && std::abs(value) <= kExactAsDouble;
  return is_whole ? to_text(static_cast<std::int64_t>(value)) : to_text(value);
}

std::string interval(const Legal& legal) {
  if (std::isinf(legal.low) && std::isinf(legal.high)) return "";
  if (std::isinf(legal.high)) return concat(" of at least ", bound(legal.low));
  return concat(" in ", bound(legal.low), "..", bound(legal.high));
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// Whether YAML, of version 1.1 or 1.2, reads the text as the same string when it is not quoted. A
/// class named 1 or no, for example, would be read as a number or as false.
bool is_plain(const std::string& text) {
  if (plain_bool(text) || plain_number(text)) return false;
  if (text.empty() || !(is_letter_or_digit(text.front()) || text.front() == '/')) return false;
  if (text == "null" || text == "Null" || text == "NULL") return false;
  // 010 and 2024-05-01 are an octal number and a date in YAML 1.1.
  if (text.front() >= '0' && text.front() <= '9' &&
      text.find_first_not_of("0123456789.-_+eExXabcdefABCDEF") == std::string::npos) {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter_or_digit(c) || std::string_view("/._-+").find(c) != std::string_view::npos;
  });
}

/// Reads a scalar that is no text by `read_plain`, one of the functions of scalars.h.
template <class Value>
bool read_plain(const YAML::Node& node, std::optional<Value> (*read_plain)(std::string_view),
                Value& field) {
  if (!node.IsScalar() || is_text_by_form(node) || has_foreign_tag(node)) return false;
  const std::optional<Value> value = read_plain(node.Scalar());
  field = value.value_or(field);
  return value.has_value();
}

template <class Element>
std::string list_to_text(const std::vector<Element>& value) {
  std::vector<std::string> parts;
  for (const Element& element : value) parts.push_back(to_text(element));
  return concat("[", join(parts, ", "), "]");
}

template <class Element>
bool read_list(const YAML::Node& node, std::vector<Element>& field) {
  if (!node.IsSequence()) return false;
  field.assign(node.size(), {});
  for (std::size_t i = 0; i < node.size(); ++i) {
    if (!read(node[i], field[i])) return false;
  }
  return true;
}

}  // namespace

std::string to_text(const std::string& value) {
  if (is_plain(value)) return value;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : value) {
    const auto code = static_cast<std::uint8_t>(c);
    if (code < ' ' || code == 0x7f) {
      quoted += {'\\', 'x', kDigits[code >> 4], kDigits[code & 0xf]};
      continue;
    }
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string to_text(bool value) { return value ? "true" : "false"; }
std::string to_text(std::int64_t value) { return std::to_string(value); }

std::string to_text(double value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  std::string text(buffer.data(), end);
  // YAML 1.1 reads 1e-04 as text, but 1.0e-04 as a number.
  const std::size_t exponent = text.find('e');
  if (exponent < text.find('.')) text.insert(exponent, ".0");
  return text;
}

std::string to_text(const std::vector<std::int64_t>& value) { return list_to_text(value); }
std::string to_text(const std::vector<double>& value) { return list_to_text(value); }
std::string to_text(const std::vector<std::string>& value) { return list_to_text(value); }

bool read(const YAML::Node& node, std::string& field) {
  if (!node.IsScalar() || has_foreign_tag(node)) return false;
  field = node.Scalar();
  return true;
}

bool read(const YAML::Node& node, bool& field) { return read_plain(node, plain_bool, field); }

bool read(const YAML::Node& node, std::int64_t& field) {
  return read_plain(node, plain_integer, field);
}

bool read(const YAML::Node& node, double& field) { return read_plain(node, plain_number, field); }

bool read(const YAML::Node& node, std::vector<std::int64_t>& field) {
  return read_list(node, field);
}
bool read(const YAML::Node& node, std::vector<double>& field) { return read_list(node, field); }
bool read(const YAML::Node& node, std::vector<std::string>& field) {
  return read_list(node, field);
}

bool is_legal(const std::string& value, const Legal& legal) {
  return legal.choices.empty() ||
         std::find(legal.choices.begin(), legal.choices.end(), value) != legal.choices.end();
}

bool is_legal(bool /*value*/, const Legal& /*legal*/) { return true; }

bool is_legal(std::int64_t value, const Legal& legal) {
  return is_legal(static_cast<double>(value), legal);
}

bool is_legal(double value, const Legal& legal) {
  return value >= legal.low && value <= legal.high;
}

bool is_legal(const std::vector<std::int64_t>& values, const Legal& legal) {
  return std::all_of(values.begin(), values.end(),
                     [&](std::int64_t value) { return is_legal(value, legal); });
}
bool is_legal(const std::vector<double>& values, const Legal& legal) {
  return std::all_of(values.begin(), values.end(),
                     [&](double value) { return is_legal(value, legal); });
}

bool is_legal(const std::vector<std::string>& values, const Legal& /*legal*/) {
  return std::none_of(values.begin(), values.end(), [](const auto& text) { return text.empty(); });
}

std::string describe(const std::string& /*field*/, const Legal& legal) {
  return legal.choices.empty() ? "text" : concat("one of ", join(legal.choices, ", "));
}
std::string describe(bool /*field*/, const Legal& /*legal*/) { return "true or false"; }
std::string describe(std::int64_t /*field*/, const Legal& legal) {
  return "an integer" + interval(legal);
}
std::string describe(double /*field*/, const Legal& legal) { return "a number" + interval(legal); }
std::string describe(const std::vector<std::int64_t>& /*field*/, const Legal& legal) {
  return "a list of integers" + interval(legal);
}
std::string describe(const std::vector<double>& /*field*/, const Legal& legal) {
  return "a list of numbers" + interval(legal);
}
std::string describe(const std::vector<std::string>& /*field*/, const Legal& /*legal*/) {
  return "a list of names, none of them empty";
}

}  // namespace cdm
