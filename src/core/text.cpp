// SPDX-License-Identifier: MIT
#include "cdm/core/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <numeric>
#include <system_error>

namespace cdm {
namespace {

/// The number of bytes of the UTF-8 character that `text` begins with; 0 when it is none. (RFC
/// 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF.)
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first < 0xc2   ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  const std::uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const std::uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return length;
}

std::string two_digits(std::int64_t value) {
  return (value < 10 ? "0" : "") + std::to_string(value);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

std::string format_duration(double seconds) {
  constexpr double kMost = 1e15;  // safely below where llround overflows
  if (!std::isfinite(seconds) || seconds > kMost) return "unknown";
  const auto total = static_cast<std::int64_t>(std::llround(std::max(seconds, 0.0)));
  const std::int64_t minutes = total / 60;
  const std::int64_t hours = minutes / 60;
  if (total < 60) return concat(total, " s");
  if (hours == 0) return concat(minutes, " min ", two_digits(total % 60), " s");
  if (hours < 48) return concat(hours, " h ", two_digits(minutes % 60), " min");
  return concat(hours / 24, " d ", two_digits(hours % 24), " h");
}

std::string format_bytes(std::int64_t bytes) {
  constexpr std::array<const char*, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return concat(bytes, " B");
  double value = static_cast<double>(bytes) / 1024.0;
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  return concat(fixed(value, 1), " ", kUnits[unit]);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string in_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string out;
  std::size_t characters = 0;
  for (; !text.empty() && characters < kLongest; ++characters) {
    const std::size_t length = character_length(text);
    const bool is_control = length == 1 ? text.front() < ' ' || text.front() == 0x7f
                                        : length == 2 && text.front() == '\xc2' &&
                                              static_cast<std::uint8_t>(text[1]) < 0xa0;
    out += length == 0 || is_control ? "?" : std::string(text.substr(0, length));
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return text.empty() ? out : out + "...";
}

std::string in_quotes(std::string_view name) { return concat("'", printable(name), "'"); }

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::optional<std::int64_t> whole_number(std::string_view text, int base) {
  std::int64_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number, base);
  return error == std::errc() && end == last ? std::optional(number) : std::nullopt;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string list_some(std::vector<std::string> words, std::size_t most) {
  const std::size_t all = words.size();
  if (all > most) {
    words.resize(most);
    words.push_back(concat("and ", all - most, " more"));
  }
  return join(words, ", ");
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string closest;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const std::string& candidate : candidates) {
    const std::size_t a = word.size(), b = candidate.size();
    // The difference in length is a lower bound of the distance.
    if ((a > b ? a - b : b - a) >= least) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= least) continue;
    least = distance;
    closest = candidate;
  }
  return closest;
}

}  // namespace cdm
