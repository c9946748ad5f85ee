// SPDX-License-Identifier: MIT
#include "config/scalars.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr std::string_view kYamlTag = "tag:yaml.org,2002:";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

/// A number as it is written, without underscores.
struct WrittenNumber {
  std::string digits;  // without the sign and without 0x or 0b
  int base = 10;
  bool is_negative = false;
};

std::optional<WrittenNumber> take_apart(std::string_view text) {
  WrittenNumber number;
  if (text.starts_with('+') || text.starts_with('-')) {
    number.is_negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (text.starts_with("0x") || text.starts_with("0X")) number.base = 16;
  if (text.starts_with("0b") || text.starts_with("0B")) number.base = 2;
  if (number.base != 10) text.remove_prefix(2);
  const auto may_stand_beside = number.base == 16 ? is_hex_digit : is_digit;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      number.digits += text[i];
    } else if (i == 0 || i + 1 == text.size() || !may_stand_beside(text[i - 1]) ||
               !may_stand_beside(text[i + 1])) {
      return std::nullopt;
    }
  }
  const std::string& digits = number.digits;
  if (digits.empty() || !(is_hex_digit(digits.front()) || digits.front() == '.')) {
    return std::nullopt;
  }
  return number;
}

bool has_leading_zero(const WrittenNumber& number) {
  return number.base == 10 && number.digits.size() > 1 && number.digits.front() == '0' &&
         all_digits(number.digits);
}

std::optional<double> decimal_number(const std::string& text) {
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  return error == std::errc() && end == last ? std::optional(value) : std::nullopt;
}

/// Whether the text is a number in base 60, such as 1:30 or 190:20:30.15.
bool is_base_60(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  const std::size_t colon = text.find(':');
  return colon != std::string_view::npos && all_digits(text.substr(0, colon)) &&
         colon + 1 < text.size() &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(colon), text.end(),
                     [](char c) { return is_digit(c) || c == ':' || c == '.'; });
}

}  // namespace

std::optional<bool> plain_bool(std::string_view text) {
  static constexpr std::array<std::array<std::string_view, 2>, 4> kWords = {
      {{"true", "false"}, {"yes", "no"}, {"on", "off"}, {"y", "n"}}};
  const auto is_form_of = [&](std::string_view word) {
    std::string capital(word);
    capital.front() = static_cast<char>(capital.front() - 'a' + 'A');
    std::string capitals(word);
    for (char& c : capitals) c = static_cast<char>(c - 'a' + 'A');
    return text == word || text == capital || text == capitals;
  };
  for (const auto& [yes, no] : kWords) {
    if (is_form_of(yes)) return true;
    if (is_form_of(no)) return false;
  }
  return std::nullopt;
}

std::optional<double> plain_number(std::string_view text) {
  const std::optional<WrittenNumber> number = take_apart(text);
  if (!number || has_leading_zero(*number)) return std::nullopt;
  std::optional<double> value;
  if (number->base == 10) {
    value = decimal_number(number->digits);
  } else if (const auto whole = whole_number(number->digits, number->base)) {
    value = static_cast<double>(*whole);
  }
  if (!value || !std::isfinite(*value)) return std::nullopt;
  return number->is_negative ? -*value : *value;
}

std::optional<std::int64_t> plain_integer(std::string_view text) {
  const std::optional<WrittenNumber> number = take_apart(text);
  if (!number || has_leading_zero(*number)) return std::nullopt;
  if (number->base != 10 || all_digits(number->digits)) {
    const auto whole = whole_number(number->digits, number->base);
    return whole && number->is_negative ? -*whole : whole;
  }
  const std::optional<double> value = plain_number(text);
  const bool is_whole = value && std::trunc(*value) == *value && std::abs(*value) <= kExactAsDouble;
  return is_whole ? std::optional(static_cast<std::int64_t>(*value)) : std::nullopt;
}

bool is_text_by_form(const YAML::Node& node) {
  return node.Tag() == "!" || node.Tag() == concat(kYamlTag, "str");
}

bool has_foreign_tag(const YAML::Node& node) {
  const std::string& tag = node.Tag();
  if (tag.empty() || tag == "?" || tag == "!") return false;
  static constexpr std::array<std::string_view, 7> kKnown = {"str",  "int", "float", "bool",
                                                             "null", "map", "seq"};
  return std::none_of(kKnown.begin(), kKnown.end(),
                      [&](std::string_view known) { return tag == concat(kYamlTag, known); });
}

namespace {

/// The hint about a node that is no list.
std::string hint_about_one(const YAML::Node& node) {
  if (has_foreign_tag(node)) {
    return concat("; the tag ", printable(node.Tag()), " means nothing here");
  }
  if (!node.IsScalar()) return "";
  const std::string& text = node.Scalar();
  if (is_text_by_form(node)) {
    return plain_number(text) || plain_bool(text) ? "; in quotes it is text" : "";
  }
  const std::optional<WrittenNumber> number = take_apart(text);
  if (number && has_leading_zero(*number)) {
    return "; with a leading zero it is octal in YAML 1.1 and decimal in YAML 1.2: leave the zero "
           "out";
  }
  if (is_base_60(text)) return "; with colons it is a number to the base 60 in YAML 1.1";
  return "";
}

}  // namespace

std::string hint_about(const YAML::Node& node) {
  if (!node.IsSequence()) return hint_about_one(node);
  for (const YAML::Node& element : node) {
    if (const std::string hint = hint_about_one(element); !hint.empty()) return hint;
  }
  return "";
}

}  // namespace cdm
