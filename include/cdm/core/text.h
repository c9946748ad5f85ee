// SPDX-License-Identifier: MIT
// Small text helpers for messages. (GCC 12 has no <format>.)
#pragma once

#include <cstdint>
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

/// `value` with `digits` digits after the point.
std::string fixed(double value, int digits);

/// Seconds for a reader: "48 s", "3 min 05 s", "2 h 07 min", "3 d 04 h".
std::string format_duration(double seconds);

/// Bytes for a reader, in powers of 1024: "812 B", "3.4 MiB", "1.2 GiB".
std::string format_bytes(std::int64_t bytes);

/// Errors of libraries go on with stack traces.
std::string first_line(const std::string& text);

/// Foreign text for a message: short, on one line, '?' for what is not plain ASCII.
std::string printable(std::string_view text);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// The candidate at the smallest edit distance from `word`; empty when there is none.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace cdm
