// SPDX-License-Identifier: MIT
// What holds for the values of all options of all programs.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace cdm {

/// Makes the parser, and its subcommands, refuse empty values, which come from unset variables of a
/// shell, and numbers with anything around their digits. Zeros before a whole number do not make it
/// octal. To be called when all options are declared.
void check_option_values(CLI::App& app);

/// Throws CLI::ValidationError for what the parser itself would pass over: an empty element of a
/// list (`--class 1,,0`), and `--data=`, for which it would take the next argument. `arguments` are
/// those of the command line.
void check_arguments(CLI::App& app, const std::vector<std::string>& arguments);

/// One line that says what was wrong with a command line that the parser refused with `error`.
std::string parse_message(const CLI::App& app, const CLI::Error& error);

}  // namespace cdm
