// SPDX-License-Identifier: MIT
// What the subcommands of cdm-eval share. Each subcommand is one file, which declares its options
// and its work with add_command().
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

/// The work of the subcommand that the user has called.
using Chosen = std::function<void()>;

/// Calls `run`. When it throws, removes the folders that make_folder() has created and that are
/// still empty.
void run_tidily(const std::function<void()>& run);

/// Adds a subcommand. `declare` adds its options to the parser, and they fill in an `Options`, with
/// which `run` is called. When the user calls the subcommand, `chosen` is set to its work.
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

/// The models to compare, and the folder for results.
struct RunsOptions {
  std::vector<std::string> runs;
  LoadOptions model;  // options for all of them; `path` is not used
  std::string out;    // folder; "" = eval/ in the first run
};

/// Adds RUN_OR_CHECKPOINT..., --out and the options of add_weights_options(), which fill `options`
/// in.
void add_runs_options(CLI::App& app, RunsOptions& options);

/// Adds --seed and --batch, which fill `options` in.
void add_level_options(CLI::App& app, LevelOptions& options);

/// A model, and its name in tables, pictures and file names.
struct NamedModel {
  std::string name;  // of its run or checkpoint folder; if that is taken, its path with _ for /
  LoadedModel loaded;
};
/// Loads all models. Throws UserError when one is given twice, and as load_model() does.
std::vector<NamedModel> load_runs(const RunsOptions& options);

/// Calls `visit` for each model. When it runs out of memory, throws std::runtime_error that says
/// how many images can be denoised at a time. `batch` is the value of --batch, for the message.
void for_each_model(const std::vector<NamedModel>& models, std::int64_t batch,
                    const std::function<void(const NamedModel& model)>& visit);

/// Throws UserError, naming the first plain denoiser, unless all models have a density.
void require_densities(const std::vector<NamedModel>& models);

/// Creates a folder for results if it does not exist, and returns it. Throws UserError when
/// `folder` is a file, and std::runtime_error when it cannot be written to.
std::filesystem::path make_folder(const std::filesystem::path& folder);
/// The same for the folder that the options choose; `first` is the first model.
std::filesystem::path results_folder(const RunsOptions& options, const LoadedModel& first);

/// Prints the table on stdout, and writes it to STEM.csv and STEM.json.
void report(const Table& table, const std::filesystem::path& stem);

/// `count` evenly spread levels of those with both image and noise, from the first to the last; all
/// of them if there are fewer. Throws UserError when there are none.
std::vector<std::int64_t> spread_levels(const NoiseSchedule& schedule, std::int64_t count);

/// The images of `dataset`, [N, C, H, W] in the model's scale and type, and the labels of
/// labels_for(), both on the model's device.
struct ModelInputs {
  at::Tensor images, labels;
};
ModelInputs inputs_for(const LoadedModel& loaded, const Dataset& dataset);

}  // namespace cdm::eval
