// SPDX-License-Identifier: MIT
// cdm-eval curves: log p_t(x) of clean and noisy images at all levels t (figure 3).
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "cdm/core/error.h"
#include "cdm/core/for_each_batch.h"
#include "cdm/core/tensors.h"
#include "cdm/core/text.h"
#include "cdm/data/subset.h"
#include "cdm/diffusion/model.h"
#include "cdm/eval/levels.h"
#include "cdm/eval/plot.h"
#include "command.h"

namespace cdm::eval {
namespace {

struct Options {
  RunsOptions runs;
  DataOptions data{"", "test", 4};
  std::vector<std::int64_t> noise_levels;
  LevelOptions levels;
};

constexpr std::int64_t kMostCurves = 1000;  // more would not be readable in a picture

/// The levels of the noise in the images: those that the user gave, or 0, a quarter, half and all
/// of the reference level. Ascending, without repetition. Throws UserError for levels that the
/// model does not have.
std::vector<std::int64_t> noise_levels_of(const Options& options, const NamedModel& model) {
  const std::int64_t last = model.loaded.model.schedule().reference_level();
  std::vector<std::int64_t> levels = options.noise_levels;
  if (levels.empty()) levels = {0, last / 4, last / 2, last};
  for (const std::int64_t s : levels) {
    if (s >= 0 && s <= last) continue;
    throw UserError(
        concat("--noise-levels ", s, ": must be in 0..", last, ", the levels of ", model.name));
  }
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  return levels;
}

/// log p_t(x) of the images with noise of level `s`, at all levels t: float64 [N, K], CPU.
at::Tensor all_log_probs(const Model& model, const LevelOptions& options, const ModelInputs& inputs,
                         std::int64_t s) {
  std::vector<at::Tensor> parts;
  const std::int64_t total = inputs.images.size(0);
  for_each_batch(total, options.batch_size, [&](std::int64_t first, std::int64_t count) {
    const at::Tensor x0 = inputs.images.narrow(0, first, count);
    const at::Tensor labels = rows_of(inputs.labels, first, count);
    const at::Tensor t = at::full({count}, s, x0.options().dtype(at::kLong));
    const at::Tensor x_t =
        model.schedule().add_noise(x0, t, evaluation_noise(options.seed, first, x0));
    parts.push_back(model.density().log_prob_all_levels(x_t, labels).to(at::kCPU));
  });
  return at::cat(parts);
}

void run(const Options& options, Evaluation& evaluation) {
  const c10::NoGradGuard no_grad;
  std::vector<NamedModel> models = load_runs(options.runs);
  require_densities(models);
  for (const NamedModel& model : models) noise_levels_of(options, model);
  load_data(models, options.data);
  add_runs(evaluation, options.runs, models);
  evaluation.take_folder(folder_for(options.runs, models));
  for_each_model(models, options.levels.batch_size, [&](const NamedModel& named) {
    const auto& [name, loaded, data] = named;
    const NoiseSchedule& schedule = loaded.model.schedule();
    const std::vector<std::int64_t> noise_levels = noise_levels_of(options, named);
    const Dataset dataset = spread_subset(data, options.data.limit);
    const std::int64_t curves = dataset.size() * static_cast<std::int64_t>(noise_levels.size());
    if (curves > kMostCurves) {
      throw UserError(concat("--limit: ", dataset.size(), " images at ", noise_levels.size(),
                             " noise levels are ", curves, " curves; at most ", kMostCurves,
                             " are drawn"));
    }
    const ModelInputs inputs = inputs_for(loaded, dataset);
    Table table({"image", "noise_level", "level", "log_prob_nats"});
    for (const std::int64_t s : noise_levels) {
      const at::Tensor log_prob = all_log_probs(loaded.model, options.levels, inputs, s);
      for (std::int64_t image = 0; image < dataset.size(); ++image) {
        for (std::int64_t level = 0; level < schedule.levels(); ++level) {
          table.add({image, s, level, log_prob[image][level].item<double>()});
        }
      }
    }
    const std::filesystem::path stem = evaluation.stem().string() + "-" + name;
    table.write_csv(stem.string() + ".csv");
    table.write_json(stem.string() + ".json");
    std::vector<std::string> drawn;
    for (const std::int64_t s : noise_levels) drawn.push_back(std::to_string(s));
    plot(stem, "curves",
         {concat("Log density at every level: ", named.title()), std::to_string(dataset.size()),
          std::to_string(schedule.reference_level()), join(drawn, " ")});

    // The level at which each image's density is highest. A good model has it near the image's own.
    Table summary({"run", "image", "noise_level", "log_prob_at_0", "most_probable_level"},
                  source_columns());
    const std::vector<Cell> sources = source_cells(named, options.runs, dataset.description);
    for (std::size_t i = 0; i < table.rows().size();
         i += static_cast<std::size_t>(schedule.levels())) {
      const auto value = [&](std::size_t row) { return std::get<double>(table.rows()[row][3]); };
      std::size_t best = i;
      for (std::size_t row = i; row < i + static_cast<std::size_t>(schedule.levels()); ++row) {
        if (value(row) > value(best)) best = row;
      }
      summary.add({name, table.rows()[i][0], table.rows()[i][1], value(i), table.rows()[best][2]},
                  sources);
    }
    report(summary, stem.string() + "-summary");
  });
}

}  // namespace

void add_curves(CLI::App& app, Chosen& chosen) {
  add_command<Options>(
      app, chosen,
      {"curves",
       "log p_t(x) at all levels t, of clean images and of images with noise (figure 3), by one "
       "forward pass.",
       "runs/first --limit 4 --noise-levels 0,250,500 --out results"},
      [](CLI::App& command, Options& options) {
        add_runs_options(command, options.runs);
        add_data_options(command, options.data);
        command
            .add_option("--noise-levels", options.noise_levels,
                        "levels of the noise in the images (0,250,500); default: 0, and a quarter, "
                        "half and all of the last level")
            ->delimiter(',')
            ->allow_extra_args(false);
        add_level_options(command, options.levels);
      },
      run);
}

}  // namespace cdm::eval
