// SPDX-License-Identifier: MIT
// Log lines on stderr, and in a file after log_to_file(). The rest of the code logs through these
// functions; only log.cpp includes the logging library (spdlog).
#pragma once

#include <string>
#include <string_view>

namespace cdm {

/// Each writes `message` as one line, with nothing, "warning: " or "error: " in front of it.
void log_info(std::string_view message);
void log_warning(std::string_view message);
void log_error(std::string_view message);

/// As log_info(), but only the first time that the process has this message. For what both splits
/// of a data set have to say.
void log_info_once(const std::string& message);

/// From now on, log_info() and show_status() do nothing, and lines on stderr begin with `prefix`.
void log_only_warnings(const std::string& prefix);

/// Also writes every later line, with date and time, to the end of `path`.
/// Throws std::runtime_error when the file cannot be opened.
void log_to_file(const std::string& path);

/// Whether stderr is a terminal, so that a status line can be shown.
bool log_is_terminal();

/// Shows `text` as a status line below the log lines. It replaces the previous status line; ""
/// removes it. Does nothing when stderr is not a terminal.
void show_status(std::string_view text);

}  // namespace cdm
