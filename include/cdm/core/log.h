// SPDX-License-Identifier: MIT
// Log lines: to stderr, and to a file once one is named. The only door to the logging library.
#pragma once

#include <string>
#include <string_view>

namespace cdm {

void log_info(std::string_view message);
void log_warning(std::string_view message);
void log_error(std::string_view message);

/// Of the lines that follow, shows warnings and errors only, each with `prefix`, and no status
/// line.
void log_only_warnings(const std::string& prefix);

/// Also writes every later line, with date and time, to the end of `path`.
/// Throws std::runtime_error when the file cannot be opened.
void log_to_file(const std::string& path);

/// Whether stderr is a terminal, so that a status line can be shown.
bool log_is_terminal();

/// On a terminal, shows `text` below the log lines, in place of the last one shown; "" removes it.
/// Does nothing elsewhere.
void show_status(std::string_view text);

}  // namespace cdm
