// SPDX-License-Identifier: MIT
// One call of a subcommand of cdm-eval: what is evaluated, and where its results go.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace cdm::eval {

/// The settings of an evaluation are everything that its numbers depend on: options, checkpoints,
/// data. They are kept in the file COMMAND-settings.json beside the results, so that results are
/// replaced only by those of the same evaluation.
class Evaluation {
 public:
  /// Takes the values of all options of `command` on which numbers depend.
  explicit Evaluation(const CLI::App& command);

  /// Adds a setting: what was found where an option points to.
  void add(const std::string& name, nlohmann::ordered_json value);

  /// Creates the folder for results if it does not exist. Throws UserError when it is a file, or
  /// when it holds results of the same subcommand with other settings, and std::runtime_error when
  /// it cannot be written to.
  void begin(const std::filesystem::path& folder);

  /// FOLDER/COMMAND: how the paths of all results begin.
  std::filesystem::path stem() const { return folder_ / command_; }

  /// Writes the settings. To be called when all results are written.
  void finish() const;

 private:
  std::filesystem::path settings_file() const;

  std::string command_;
  nlohmann::ordered_json settings_;
  std::filesystem::path folder_;
};

/// The settings that cdm-sample has left beside FILE.npz, in FILE.npz.json; null without such a
/// file.
nlohmann::ordered_json settings_of_samples(const std::string& file);

/// The checkpoint that the images of FILE.npz were drawn from, of the same file; "" when it is not
/// known.
std::string checkpoint_of_samples(const std::string& file);

}  // namespace cdm::eval
