// SPDX-License-Identifier: MIT
// What the subcommands of cdm-eval share: one file per subcommand, each declaring its options and
// choosing what is to run.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../data_options.h"
#include "../model_options.h"
#include "cdm/eval/levels.h"
#include "cdm/eval/table.h"
#include "cdm/run/load_model.h"

namespace cdm::eval {

/// Set by the subcommand that was called.
using Chosen = std::function<void()>;

/// Calls `run`. When it fails, folders of make_folder that are still empty are gone again.
void run_tidily(const std::function<void()>& run);

/// Adds a subcommand whose `Options` are declared by `declare` and used by `run`.
template <class Options>
void add_command(CLI::App& app, Chosen& chosen, const std::string& name, const std::string& help,
                 const std::function<void(CLI::App&, Options&)>& declare,
                 const std::function<void(const Options&)>& run) {
  CLI::App* const command = app.add_subcommand(name, help);
  const auto options = std::make_shared<Options>();
  declare(*command, *options);
  command->callback(
      [options, run, &chosen] { chosen = [options, run] { run_tidily([&] { run(*options); }); }; });
}

void add_levels(CLI::App& app, Chosen& chosen);
void add_denoise(CLI::App& app, Chosen& chosen);
void add_curves(CLI::App& app, Chosen& chosen);
void add_toy(CLI::App& app, Chosen& chosen);
void add_fid(CLI::App& app, Chosen& chosen);
void add_agreement(CLI::App& app, Chosen& chosen);

/// Models that are compared, and where results go.
struct RunsOptions {
  std::vector<std::string> runs;
  LoadOptions model;  // for each of them; its path is not used
  std::string out;    // folder; "" = eval/ in the first run
};

/// Adds RUN..., --out and the options of a model.
void add_runs_options(CLI::App& app, RunsOptions& options);

/// Adds --seed and --batch, which fill `options` in.
void add_level_options(CLI::App& app, LevelOptions& options);

/// A model under the name that it has in tables and pictures.
struct NamedModel {
  std::string name;  // the run's folder, or the checkpoint's within it; a path where names clash
  LoadedModel loaded;
};
std::vector<NamedModel> load_runs(const RunsOptions& options);

/// Calls `visit` for each; when it is out of memory, throws a std::runtime_error that says how many
/// images at a time would fit instead of the `batch` of --batch, to denoise them.
void for_each_model(const std::vector<NamedModel>& models, std::int64_t batch,
                    const std::function<void(const NamedModel& model)>& visit);

/// Throws UserError, naming the first plain denoiser, unless all know densities.
void require_densities(const std::vector<NamedModel>& models);

/// A folder for results; made when it is not there. Throws UserError where it is a file or cannot
/// be written to.
std::filesystem::path make_folder(const std::filesystem::path& folder);
/// The one that the options name.
std::filesystem::path results_folder(const RunsOptions& options, const LoadedModel& first);

/// Prints the table, and writes it as STEM.csv and STEM.json.
void report(const Table& table, const std::filesystem::path& stem);

/// `count` levels from 1 to the last with any image in it, evenly spread. Throws UserError where
/// there is none.
std::vector<std::int64_t> spread_levels(const NoiseSchedule& schedule, std::int64_t count);

/// The images of `dataset` in the model's scale and type, on its device; its labels for the model.
struct ModelInputs {
  at::Tensor images, labels;
};
ModelInputs inputs_for(const LoadedModel& loaded, const Dataset& dataset);

}  // namespace cdm::eval
