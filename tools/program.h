// SPDX-License-Identifier: MIT
// What all programs share: --help, --version, error messages and exit codes.
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
  std::string example;  // a command line, shown at the end of --help
  std::function<void(CLI::App&)> declare;
  std::function<void()> body;
};

/// Runs a program and returns its exit code: 0 when it is done, 1 when it failed while running, 2
/// for wrong usage, configuration or input. An error is one line on stderr.
int run_program(const Program& program, int argc, char** argv);

/// Joins the group of processes that the environment describes (see rank_of_this_process()). All
/// processes but the first then log only warnings and errors.
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

/// Checks that `file` can be written, so that a program fails before it computes anything. Throws
/// UserError when its folder does not exist or `file` is a folder, and std::runtime_error when no
/// file can be created there. An empty name is not checked.
void require_folder_of(const std::string& file);

/// A file that will be written, and its size.
struct PlannedFile {
  std::string name;
  std::int64_t bytes = 0;
};

/// Throws UserError when the files together need more space than their file systems have. `option`
/// names, for the message, what the user can lower.
void require_space(const std::vector<PlannedFile>& files, const std::string& option);

/// The legal range of seeds on the command line.
inline CLI::Validator seed_range() { return CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 53); }

}  // namespace cdm
