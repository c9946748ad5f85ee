// SPDX-License-Identifier: MIT
// What every program shares: --help, --version, errors and exit codes.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "cdm/distributed/process_group.h"

namespace cdm {

/// One program. `declare` adds options to the parser; `body` runs once they are parsed.
struct Program {
  std::string name;
  std::string description;
  std::string example;  // shown below --help
  std::function<void(CLI::App&)> declare;
  std::function<void()> body;
};

/// Runs it as main() should: returns 0 when done, 1 when it failed while running, 2 for wrong
/// usage, configuration or input, with one line on stderr.
int run_program(const Program& program, int argc, char** argv);

/// The group that this process belongs to by its environment (see place_of_this_process). Only its
/// first process logs more than warnings.
ProcessGroup join_group();

/// Throws UserError when the folder that `file` is to be written to does not exist or cannot be
/// written to, or `file` is a folder itself. Programs ask before they compute anything. An empty
/// name is of no file.
void require_folder_of(const std::string& file);

/// Seeds on the command line have the range that they have in a configuration.
inline CLI::Validator seed_range() { return CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 53); }

}  // namespace cdm
