// SPDX-License-Identifier: MIT
// One call of a subcommand of cdm-eval: what is evaluated, and where its results go.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "cdm/data/dataset.h"

namespace cdm::eval {

/// Calls `run`. When it throws, removes the folders that Evaluation::take_folder() has created and
/// that are still empty.
void run_tidily(const std::function<void()>& run);

/// The settings of an evaluation are everything that its numbers depend on: options, checkpoints,
/// data. Paths that the user gives are not among them, because one path can lead to different
/// things, and different paths to one; the settings have what was found there. They are kept in the
/// file COMMAND-settings.json beside the results, so that results are replaced only by those of the
/// same evaluation.
class Evaluation {
 public:
  /// Takes the values of the options of `command`, but for those that say where something is (see
  /// add()) and how fast it is computed.
  explicit Evaluation(const CLI::App& command);

  /// Adds a setting: what was found where an option points to.
  void add(const std::string& name, nlohmann::ordered_json value);

  /// Makes `folder` the one for results, when all settings are added. Creates it if it does not
  /// exist. Throws UserError when it is a file, or when it holds results of the same subcommand
  /// with other settings, of which the message names one; and std::runtime_error when it cannot be
  /// written to.
  void take_folder(const std::filesystem::path& folder);

  /// FOLDER/COMMAND: how the paths of all results begin.
  std::filesystem::path stem() const { return folder_ / command_; }

  /// Writes the settings. To be called when all results are written.
  void finish() const;

 private:
  std::filesystem::path settings_file() const;
  /// The first setting that is not as it was in `former`: "--split was test, is train". "" when
  /// all are the same.
  std::string difference_to(const nlohmann::ordered_json& former) const;

  std::string command_;
  nlohmann::ordered_json settings_;
  std::set<std::string> defaults_;  // options that were not given
  std::filesystem::path folder_;
};

/// A data set as a setting: its description, the number of its images, and Dataset::conversion.
nlohmann::ordered_json settings_of(const Dataset& dataset);

/// The settings that cdm-sample has left beside FILE.npz, in FILE.npz.json; null without such a
/// file.
nlohmann::ordered_json settings_of_samples(const std::string& file);

/// The images of FILE.npz as a setting: settings_of(dataset), and as `drawn` what
/// settings_of_samples() finds, without the version of the program, which may be another one.
nlohmann::ordered_json settings_of_samples(const std::string& file, const Dataset& dataset);

/// The checkpoint that the images of FILE.npz were drawn from, of the same file; "" when it is not
/// known.
std::string checkpoint_of_samples(const std::string& file);

}  // namespace cdm::eval
