// SPDX-License-Identifier: MIT
// Writing a configuration: values, the resolved file, help and the reference page.
#include "config/config_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "cdm/core/text.h"

namespace cdm {
namespace {

/// A bound without an exponent, where it is a whole number.
std::string bound(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  const bool is_whole = std::trunc(value) == value && std::abs(value) <= kExact;
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

/// Whether YAML reads it as the same text without quotes.
bool is_plain(const std::string& text) {
  if (text.empty() || !(is_letter_or_digit(text.front()) || text.front() == '/')) return false;
  if (text == "null" || text == "Null" || text == "NULL") return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter_or_digit(c) || std::string_view("/._-+").find(c) != std::string_view::npos;
  });
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
  // YAML 1.1 takes 1e-04 for text, and 1.0e-04 for a number.
  const std::size_t exponent = text.find('e');
  if (exponent < text.find('.')) text.insert(exponent, ".0");
  return text;
}

std::string to_text(const std::vector<std::int64_t>& value) {
  std::vector<std::string> parts;
  for (const std::int64_t element : value) parts.push_back(to_text(element));
  return concat("[", join(parts, ", "), "]");
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
  return concat("a ", legal.may_be_empty ? "" : "non-empty ", "list of integers", interval(legal));
}

std::string to_yaml(const RunConfig& config) {
  RunConfig copy = config;
  std::string out;
  std::string open_section;
  visit_keys(copy, [&](const std::string& section, const char* key, const auto& field, auto&&...) {
    if (section != open_section) {
      out += concat(section, ":\n");
      open_section = section;
    }
    out += concat(section.empty() ? "" : "  ", key, ": ", to_text(field), "\n");
  });
  return out;
}

std::map<std::string, std::string> flatten(const RunConfig& config) {
  RunConfig copy = config;
  std::map<std::string, std::string> out;
  visit_keys(copy, [&](const std::string& section, const char* key, const auto& field, auto&&...) {
    out[section.empty() ? key : concat(section, ".", key)] = to_text(field);
  });
  return out;
}

std::string config_help() {
  RunConfig config;
  std::string out;
  std::string open_section;
  visit_keys(config, [&](const std::string& section, const char* key, const auto& field,
                         const auto&, const Legal& legal, const char* help) {
    if (section != open_section) {
      out += concat("\n", section, ":\n");
      open_section = section;
    }
    out += concat(section.empty() ? "" : "  ", key, ": ", to_text(field), "\n      ", help, " (",
                  describe(field, legal), ")\n");
  });
  return out;
}

std::string config_reference_markdown() {
  RunConfig config;
  std::string out =
      "# Configuration reference\n\n"
      "Made from src/config_keys.h by `cdm-train --help-config --markdown`. A configuration is one "
      "YAML file;\nevery key may be left out. `--set section.key=value` overrides a key.\n";
  std::string open_section = "none";
  visit_keys(config, [&](const std::string& section, const char* key, const auto& field,
                         const auto&, const Legal& legal, const char* help) {
    if (section != open_section) {
      out += concat("\n## ", section.empty() ? "Top level" : section,
                    "\n\n| key | default | legal | meaning |\n| --- | --- | --- | --- |\n");
      open_section = section;
    }
    std::string meaning;
    for (const char c : std::string_view(help)) meaning += c == '|' ? "\\|" : std::string(1, c);
    out += concat("| `", key, "` | `", to_text(field), "` | ", describe(field, legal), " | ",
                  meaning, " |\n");
  });
  return out;
}

}  // namespace cdm
