// SPDX-License-Identifier: MIT
// Small text helpers for messages. (GCC 12 has no <format>.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace cdm {

/// The parts, printed one after the other: concat("step ", 3, " of ", 10).
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// `value` with `digits` digits after the decimal point.
std::string fixed(double value, int digits);

/// A time in seconds as text: "48 s", "3 min 05 s", "2 h 07 min", "3 d 04 h"; "unknown" when it is
/// not finite.
std::string format_duration(double seconds);

/// A number of bytes as text, in units of powers of 1024: "812 B", "3.4 MiB", "1.2 GiB".
std::string format_bytes(std::int64_t bytes);

/// The text before the first line break. LibTorch's error messages have a stack trace after it.
std::string first_line(const std::string& text);

/// Whether the bytes are valid UTF-8 (RFC 3629).
bool is_utf8(std::string_view text);

/// The text with '?' for every control character, such as a line break. For the paths of files,
/// which a reader of the message may want to copy: they keep their length and their umlauts.
std::string in_one_line(std::string text);

/// Text from a file or another program, made safe for a message: at most 80 characters (then
/// "..."), with '?' for every control character, line breaks included, and for every byte that is
/// not UTF-8.
std::string printable(std::string_view text);

/// printable(name) in single quotes: 'cat'. For a name or a value inside a sentence.
std::string in_quotes(std::string_view name);

/// The text with small letters for A to Z, and all other bytes as they are. For comparing suffixes
/// and words whose letters may be of either case.
std::string lower_case(std::string_view text);

/// The decimal number that is the whole text, such as "12" or "-3", or the number in another base
/// from 2 to 36. Empty for anything else: other characters, spaces and "+" among them, and numbers
/// that do not fit. Not for options of programs and not for YAML, which have rules of their own.
std::optional<std::int64_t> whole_number(std::string_view text, int base = 10);

/// The parts with `separator` between them.
std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// The first `most` words with ", " between them, and how many more there are: "a, b, and 3 more".
/// For a message about any number of things, which must stay one line.
std::string list_some(std::vector<std::string> words, std::size_t most);

/// The candidate with the smallest edit distance (Levenshtein) from `word`, the first of several
/// such; empty when there are no candidates.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace cdm
