// SPDX-License-Identifier: MIT
#include "command.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <set>
#include <stdexcept>
#include <system_error>

#include "../program.h"
#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "cdm/device/memory_advice.h"

namespace cdm::eval {
namespace {

std::vector<std::filesystem::path> made_folders;  // a folder comes before its parent

}  // namespace

void run_tidily(const std::function<void()>& run) try { run(); } catch (...) {
  std::error_code not_empty;
  for (const std::filesystem::path& folder : made_folders) {
    std::filesystem::remove(folder, not_empty);
  }
  throw;
}

void add_runs_options(CLI::App& app, RunsOptions& options) {
  app.add_option("RUN_OR_CHECKPOINT", options.runs,
                 "run directories (the newest checkpoint of each is taken) or checkpoint folders")
      ->required();
  app.add_option("--out", options.out, "folder for results; default: eval/step-N in the first run");
  add_weights_options(app, options.model);
}

void add_level_options(CLI::App& app, LevelOptions& options) {
  app.add_option("--seed", options.seed, "seed of the noise")->check(seed_range());
  app.add_option("--batch", options.batch_size, "images computed at a time")
      ->check(CLI::Range(1, 1000000));
}

std::vector<NamedModel> load_runs(const RunsOptions& options) {
  std::vector<NamedModel> models;
  std::set<std::filesystem::path> paths;
  std::set<std::string> names;
  for (const std::string& path : options.runs) {
    LoadOptions load = options.model;
    load.path = path;
    const std::filesystem::path whole = std::filesystem::absolute(path / std::filesystem::path());
    if (!paths.insert(std::filesystem::weakly_canonical(whole)).second) {
      throw UserError(concat(path, ": is given twice"));
    }
    constexpr std::size_t kLongestName = 100;  // names become parts of file names
    std::string name = whole.lexically_normal().parent_path().filename().string();
    name.resize(std::min(name.size(), kLongestName));
    if (names.contains(name)) {
      name = path;
      std::replace(name.begin(), name.end(), '/', '_');
      name.resize(std::min(name.size(), kLongestName));
    }
    while (!names.insert(name).second) name += '_';  // a/b and a_b would have the same name
    models.push_back({name, load_model(load)});
  }
  return models;
}

void for_each_model(const std::vector<NamedModel>& models, std::int64_t batch,
                    const std::function<void(const NamedModel& model)>& visit) {
  for (const NamedModel& named : models) {
    const Model& model = named.loaded.model;
    const NetworkShape& shape = model.network().shape();
    const at::TensorOptions like = model.network().options();
    explain_memory(
        {"--batch", batch}, memory_meter(like.device()), [&] { visit(named); },
        [&](std::int64_t images) {
          model.predict_noise(
              at::zeros({images, shape.channels, shape.image_size, shape.image_size}, like),
              at::ones({images}, like.dtype(at::kLong)));
        });
  }
}

void require_densities(const std::vector<NamedModel>& models) {
  for (const NamedModel& model : models) model.loaded.density();
}

std::filesystem::path make_folder(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder) && !std::filesystem::is_directory(folder)) {
    throw UserError(concat("--out ", folder.string(), ": is a file; a folder is to be written"));
  }
  for (auto missing = std::filesystem::absolute(folder); !std::filesystem::exists(missing);
       missing = missing.parent_path()) {
    made_folders.push_back(missing);
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error || ::access(folder.c_str(), W_OK) != 0) {
    throw std::runtime_error(concat("--out ", folder.string(), ": cannot be written to: ",
                                    error ? error.message() : std::strerror(errno)));
  }
  return folder;
}

std::filesystem::path usual_folder(const LoadedModel& model) {
  return model.files.config.parent_path() / "eval" / model.files.checkpoint.filename();
}

void begin(Evaluation& evaluation, const RunsOptions& options,
           const std::vector<NamedModel>& models) {
  nlohmann::ordered_json checkpoints = nlohmann::ordered_json::array();
  for (const NamedModel& model : models) {
    checkpoints.push_back(
        std::filesystem::weakly_canonical(model.loaded.files.checkpoint).string());
  }
  evaluation.add("checkpoints", checkpoints);
  evaluation.add("--weights", weights_name(options.model));
  evaluation.begin(options.out.empty() ? usual_folder(models.front().loaded)
                                       : std::filesystem::path(options.out));
}

std::vector<std::string> source_columns() { return {"checkpoint", "weights", "data"}; }

std::vector<Cell> source_cells(const NamedModel& model, const RunsOptions& options,
                               const std::string& data) {
  return {model.loaded.files.checkpoint.string(), weights_name(options.model), data};
}

std::string NamedModel::title() const {
  const std::string step = loaded.files.checkpoint.filename().string();
  return name == step ? name : concat(name, ", ", step);
}

void report(const Table& table, const std::filesystem::path& stem) {
  table.print(std::cout);
  table.write_csv(stem.string() + ".csv");
  table.write_json(stem.string() + ".json");
}

std::vector<std::int64_t> spread_levels(const NoiseSchedule& schedule, std::int64_t count) {
  const std::int64_t last = schedule.reference_level() - 1;
  if (last < 1) {
    throw UserError("a model with two levels, data and noise, has no level to denoise at");
  }
  const std::int64_t n = std::min(count, last);
  std::vector<std::int64_t> levels;
  for (std::int64_t i = 0; i < n; ++i) {
    levels.push_back(n == 1 ? 1 : 1 + (last - 1) * i / (n - 1));
  }
  return levels;
}

ModelInputs inputs_for(const LoadedModel& loaded, const Dataset& dataset) {
  const Network& network = loaded.model.network();
  const at::TensorOptions weights = network.options();
  ModelInputs inputs;
  inputs.images = to_model_scale(dataset.images.to(weights.device()),
                                 c10::typeMetaToScalarType(weights.dtype()),
                                 loaded.config.data.dequantize, {0, Purpose::dequantize});
  inputs.labels = labels_for(loaded, dataset);
  if (inputs.labels.defined()) inputs.labels = inputs.labels.to(weights.device());
  return inputs;
}

}  // namespace cdm::eval
