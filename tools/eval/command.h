// SPDX-License-Identifier: MIT
// What the subcommands of cdm-eval share. Each subcommand is one file, which declares its options
// and its work with add_command().
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../data_options.h"
#include "../model_options.h"
#include "../program.h"
#include "cdm/core/text.h"
#include "cdm/eval/levels.h"
#include "cdm/eval/table.h"
#include "cdm/run/load_model.h"
#include "evaluation.h"

namespace cdm::eval {

/// The work of the subcommand that the user has called.
using Chosen = std::function<void()>;

/// The name of a subcommand, and two texts of its --help page.
struct CommandTexts {
  std::string name, help;
  std::string example;  // the words of a command line after `cdm-eval NAME`
};

/// Adds a subcommand. `declare` adds its options to the parser, and they fill in an `Options`, with
/// which `run` is called. When the user calls the subcommand, `chosen` is set to its work.
template <class Options>
void add_command(CLI::App& app, Chosen& chosen, const CommandTexts& texts,
                 const std::function<void(CLI::App&, Options&)>& declare,
                 const std::function<void(const Options&, Evaluation&)>& run) {
  CLI::App* const command = app.add_subcommand(texts.name, texts.help);
  command->footer(example_text(concat("cdm-eval ", texts.name, " ", texts.example)));
  const auto options = std::make_shared<Options>();
  declare(*command, *options);
  command->callback([command, options, run, &chosen] {
    chosen = [command, options, run] {
      run_tidily([&] {
        Evaluation evaluation(*command);
        run(*options, evaluation);
        evaluation.finish();
      });
    };
  });
}

void add_levels(CLI::App& app, Chosen& chosen);
void add_denoise(CLI::App& app, Chosen& chosen);
void add_curves(CLI::App& app, Chosen& chosen);
void add_toy(CLI::App& app, Chosen& chosen);
void add_fid(CLI::App& app, Chosen& chosen);
void add_agreement(CLI::App& app, Chosen& chosen);
void add_training(CLI::App& app, Chosen& chosen);

/// The models to compare, and the folder for results.
struct RunsOptions {
  std::vector<std::string> runs;
  LoadOptions model;  // options for all of them; `path` is not used
  std::string out;    // folder; "" = eval/step-N of the first run
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
  Dataset data = {};  // the images to choose from, of load_data(); --limit says how many are used

  /// Name and checkpoint, for titles of pictures: "first, step-00001000".
  std::string title() const;
};
/// The names of the runs or checkpoints at these paths, as NamedModel has them. Throws UserError
/// when one is given twice.
std::vector<std::string> names_of_runs(const std::vector<std::string>& paths);

/// Loads all models. Throws UserError when one is given twice, and as load_model() does.
std::vector<NamedModel> load_runs(const RunsOptions& options);

/// Loads the data of every model: load_chosen_dataset() without the limit. Models with the same
/// data share the images. Throws UserError as load_chosen_dataset() does.
void load_data(std::vector<NamedModel>& models, const DataOptions& options);

/// Calls `visit` for each model. When it runs out of memory, throws std::runtime_error that says
/// how many images can be denoised at a time. `batch` is the value of --batch, for the message.
void for_each_model(const std::vector<NamedModel>& models, std::int64_t batch,
                    const std::function<void(const NamedModel& model)>& visit);

/// Throws UserError, naming the first plain denoiser, unless all models have a density.
void require_densities(const std::vector<NamedModel>& models);

/// The folder for results where --out gives none: eval/step-N in the model's run, so that the
/// results of another checkpoint do not stand in the way.
std::filesystem::path usual_folder(const LoadedModel& model);
/// The folder for results that the options choose: --out, or the usual one of the first model.
std::filesystem::path folder_for(const RunsOptions& options, const std::vector<NamedModel>& models);
/// Adds a model's checkpoint, weights and arithmetic to `settings`.
void add_model(nlohmann::ordered_json& settings, const LoadedModel& loaded,
               const LoadOptions& options);
/// Adds the models to the settings of the evaluation, each with its data. Without load_data(),
/// these are the test split of the run's own.
void add_runs(Evaluation& evaluation, const RunsOptions& options,
              const std::vector<NamedModel>& models);

/// The columns of a table that say where its numbers come from, and their cells. `data` is
/// Dataset::description.
std::vector<std::string> source_columns();
std::vector<Cell> source_cells(const NamedModel& model, const RunsOptions& options,
                               const std::string& data);

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
