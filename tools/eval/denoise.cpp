// SPDX-License-Identifier: MIT
// cdm-eval denoise: compares runs by their denoising error at each noise level (figure 4), and by
// denoised images (figure 5).
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "cdm/core/error.h"
#include "cdm/core/progress.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "cdm/data/subset.h"
#include "cdm/eval/levels.h"
#include "cdm/eval/plot.h"
#include "cdm/io/image.h"
#include "command.h"

namespace cdm::eval {
namespace {

struct Options {
  RunsOptions runs;
  DataOptions data{"", "test", 256};
  LevelOptions levels;
  std::int64_t count = 20;               // number of levels in the table
  std::int64_t images = 2, columns = 8;  // images and levels in the picture
};

/// Draws a grid of images. The first column is the clean image, then there is one column per level.
/// Each image has a row with the noisy images, and below it a row with the denoised images of each
/// model.
void write_strip(const Options& options, const std::vector<NamedModel>& models, const Dataset& all,
                 const std::filesystem::path& file) {
  // The levels are those of the schedule with the fewest levels, because every model has these.
  const NoiseSchedule* schedule = &models.front().loaded.model.schedule();
  for (const NamedModel& model : models) {
    const NoiseSchedule& other = model.loaded.model.schedule();
    if (other.levels() < schedule->levels()) schedule = &other;
  }
  const std::vector<std::int64_t> levels = spread_levels(*schedule, options.columns);
  const Dataset dataset = spread_subset(all, options.images);
  std::vector<at::Tensor> pictures;
  for (std::int64_t image = 0; image < dataset.size(); ++image) {
    Dataset one = dataset;
    one.images = dataset.images.narrow(0, image, 1);
    if (one.labels.defined()) one.labels = dataset.labels.narrow(0, image, 1);
    for (std::size_t row = 0; row <= models.size(); ++row) {
      const LoadedModel& loaded = models[row == 0 ? 0 : row - 1].loaded;
      const auto [x0, labels] = inputs_for(loaded, one);
      const at::Tensor noise = evaluation_noise(options.levels.seed, image, x0);
      pictures.push_back(to_pixels(x0).to(at::kCPU));
      for (const std::int64_t level : levels) {
        const at::Tensor t = at::full({1}, level, x0.options().dtype(at::kLong));
        const at::Tensor x_t = loaded.model.schedule().add_noise(x0, t, noise);
        const at::Tensor picture = row == 0 ? x_t : denoise(loaded.model, x_t, level, labels);
        pictures.push_back(to_pixels(picture).to(at::kCPU));
      }
    }
  }
  const std::int64_t zoom = std::max<std::int64_t>(1, 64 / dataset.image_size());
  write_png(file, make_grid(at::cat(pictures), static_cast<std::int64_t>(levels.size()) + 1, zoom));
  std::vector<std::string> named;
  for (const std::int64_t level : levels) named.push_back(std::to_string(level));
  std::cout << file.string() << ": columns clean, then levels " << join(named, ", ")
            << "; rows of each image: noisy";
  for (const NamedModel& model : models) std::cout << ", " << model.name;
  std::cout << "\n";
}

void run(const Options& options, Evaluation& evaluation) {
  std::vector<NamedModel> models = load_runs(options.runs);
  for (const NamedModel& model : models) {
    const NetworkShape& shape = model.loaded.model.network().shape();
    const NetworkShape& first = models.front().loaded.model.network().shape();
    if (shape.channels != first.channels || shape.image_size != first.image_size) {
      throw UserError(concat(model.name, ": is a model of ", shape.channels, " x ",
                             shape.image_size, " x ", shape.image_size, " images, ",
                             models.front().name, " of ", first.channels, " x ", first.image_size,
                             " x ", first.image_size, "; they cannot be compared"));
    }
  }
  load_data(models, options.data);
  add_runs(evaluation, options.runs, models);
  evaluation.take_folder(folder_for(options.runs, models));
  Table table({"run", "level", "steps", "sigma", "mse_noise", "mse_image", "psnr_db"},
              source_columns());
  for_each_model(models, options.levels.batch_size, [&](const NamedModel& named) {
    const auto& [name, loaded, data] = named;
    const Dataset dataset = spread_subset(data, options.data.limit);
    const auto [images, labels] = inputs_for(loaded, dataset);
    const NoiseSchedule& schedule = loaded.model.schedule();
    const std::vector<std::int64_t> levels = spread_levels(schedule, options.count);
    Progress progress(name, dataset.size() * static_cast<std::int64_t>(levels.size()), "images");
    for (const DenoisingError& error :
         denoising_errors(loaded.model, levels, options.levels, images, labels,
                          [&](std::int64_t done) { progress.update(done); })) {
      // The peak of the PSNR is 2, the range of pixels from -1 to 1. Other values have no peak.
      const double psnr =
          dataset.has_pixels() ? 10.0 * std::log10(4.0 / error.mse_image) : std::nan("");
      table.add({name, error.level, schedule.steps(), error.sigma, error.mse_noise, error.mse_image,
                 psnr},
                source_cells(named, options.runs, dataset.description));
    }
  });
  report(table, evaluation.stem());
  plot(evaluation.stem(), "denoise");
  write_strip(options, models, spread_subset(models.front().data, options.data.limit),
              evaluation.stem().string() + "-images.png");
}

}  // namespace

void add_denoise(CLI::App& app, Chosen& chosen) {
  add_command<Options>(
      app, chosen,
      {"denoise",
       "Denoising error at each noise level (figure 4) and denoised images (figure 5), to compare "
       "runs, both classifiers and plain denoisers.",
       "runs/cdm runs/ddm --levels 20 --out results"},
      [](CLI::App& command, Options& options) {
        add_runs_options(command, options.runs);
        add_data_options(command, options.data);
        command.add_option("--levels", options.count, "number of noise levels, evenly spread")
            ->check(CLI::Range(1, 100000));
        command.add_option("--images", options.images, "number of images in the picture")
            ->check(CLI::Range(1, 64));
        command.add_option("--columns", options.columns, "number of noise levels in the picture")
            ->check(CLI::Range(1, 64));
        add_level_options(command, options.levels);
      },
      run);
}

}  // namespace cdm::eval
