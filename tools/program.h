// SPDX-License-Identifier: MIT
// What every program shares: --help, --version, errors and exit codes.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cdm/config/kinds.h"
#include "cdm/core/text.h"
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
ProcessGroup join_group(Collectives collectives = Collectives::automatic);

/// Adds an option that takes the name of a kind; `value` stays empty when the option is not given.
template <class Kind>
void add_kind_option(CLI::App& app, const std::string& option, std::optional<Kind>& value,
                     const std::string& help) {
  const std::vector<std::string> names = names_of<Kind>();
  app.add_option_function<std::string>(
         option, [&value](const std::string& name) { value = kind_named<Kind>(name); },
         concat(join(names, ", "), "; ", help))
      ->check(CLI::IsMember(names));
}

/// Throws UserError when the folder that `file` is to be written to does not exist, or `file` is a
/// folder itself, and std::runtime_error where no file can be made. Programs ask before they
/// compute anything. An empty name is of no file.
void require_folder_of(const std::string& file);

/// A file to be written, and its bytes.
struct PlannedFile {
  std::string name;
  std::int64_t bytes = 0;
};

/// Throws UserError when the files together need more space than there is on the disks that they go
/// to. `option` names what the user can lower.
void require_space(const std::vector<PlannedFile>& files, const std::string& option);

/// Seeds on the command line have the range that they have in a configuration.
inline CLI::Validator seed_range() { return CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 53); }

}  // namespace cdm
