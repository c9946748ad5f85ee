// SPDX-License-Identifier: MIT
#include "command.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <set>

#include "../program.h"
#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "cdm/device/memory_advice.h"

namespace cdm::eval {
namespace {

/// What load_chosen_dataset() depends on in the model, by configuration key.
std::map<std::string, std::string> data_keys(const LoadedModel& loaded) {
  std::map<std::string, std::string> keys;
  for (const auto& [key, value] : flatten(loaded.config)) {
    if (key.starts_with("data.") || key == "model.class_names") keys[key] = value;
  }
  for (const auto& [key, value] : loaded.changed) keys[concat("changed ", key)] = value;
  return keys;
}

}  // namespace

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

std::vector<std::string> names_of_runs(const std::vector<std::string>& given) {
  std::vector<std::string> all;
  std::set<std::filesystem::path> paths;
  std::set<std::string> names;
  for (const std::string& path : given) {
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
    all.push_back(name);
  }
  return all;
}

std::vector<NamedModel> load_runs(const RunsOptions& options) {
  std::vector<NamedModel> models;
  const std::vector<std::string> names = names_of_runs(options.runs);
  for (std::size_t i = 0; i < names.size(); ++i) {
    LoadOptions load = options.model;
    load.path = options.runs[i];
    models.push_back({.name = names[i], .loaded = load_model(load)});
  }
  return models;
}

void load_data(std::vector<NamedModel>& models, const DataOptions& options) {
  DataOptions all = options;
  all.limit = 0;
  std::map<std::map<std::string, std::string>, Dataset> loaded;
  for (NamedModel& model : models) {
    const auto keys = data_keys(model.loaded);
    const auto known = loaded.find(keys);
    model.data = known != loaded.end() ? known->second : load_chosen_dataset(all, model.loaded);
    loaded[keys] = model.data;
  }
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

std::filesystem::path usual_folder(const LoadedModel& model) {
  const std::filesystem::path whole = std::filesystem::weakly_canonical(model.files.checkpoint);
  const std::filesystem::path results = std::filesystem::path("eval") / whole.filename();
  // A checkpoint that lies alone belongs to no run; its folder is not for results.
  if (whole.parent_path().filename() != "checkpoints") return results;
  return whole.parent_path().parent_path() / results;
}

std::filesystem::path folder_for(const RunsOptions& options,
                                 const std::vector<NamedModel>& models) {
  return options.out.empty() ? usual_folder(models.front().loaded)
                             : std::filesystem::path(options.out);
}

void add_model(nlohmann::ordered_json& settings, const LoadedModel& loaded,
               const LoadOptions& options) {
  settings["checkpoint"] = std::filesystem::weakly_canonical(loaded.files.checkpoint).string();
  settings["weights"] = options.weights;
  settings["precision"] = name_of(loaded.arithmetic);
}

void add_runs(Evaluation& evaluation, const RunsOptions& options,
              const std::vector<NamedModel>& models) {
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  for (const NamedModel& model : models) {
    nlohmann::ordered_json run;
    add_model(run, model.loaded, options.model);
    if (model.data.images.defined()) {
      run.update(settings_of(model.data));
    } else {
      run["data"] = describe_dataset(model.loaded.config.data, Split::test);
    }
    runs.push_back(run);
  }
  evaluation.add("runs", runs);
}

std::vector<std::string> source_columns() { return {"checkpoint", "weights", "data"}; }

std::vector<Cell> source_cells(const NamedModel& model, const RunsOptions& options,
                               const std::string& data) {
  return {model.loaded.files.checkpoint.string(), options.model.weights, data};
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
