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
#include "cdm/config/seed.h"
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

/// Throws UserError, naming the variables of the environment, when a launcher has started several
/// processes: for programs that would do the same work, and write the same files, in each.
void require_single_process(const std::string& program);

/// The end of a --help page: the heading "Example:" and a command line.
std::string example_text(const std::string& example);

/// The legal range of seeds on the command line.
inline CLI::Validator seed_range() { return CLI::Range(std::int64_t{0}, kLargestSeed); }

}  // namespace cdm
