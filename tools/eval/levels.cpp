// SPDX-License-Identifier: MIT
// cdm-eval levels: the paper's Table 1 and figure 9, and the calibration of the level posterior.
#include "cdm/eval/levels.h"

#include <ATen/TensorOperators.h>

#include <limits>

#include "cdm/core/progress.h"
#include "cdm/core/text.h"
#include "cdm/data/subset.h"
#include "cdm/eval/denoiser_bound.h"
#include "cdm/eval/nll.h"
#include "cdm/eval/plot.h"
#include "command.h"

namespace cdm::eval {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Options {
  RunsOptions runs;
  DataOptions data;
  LevelOptions levels;
};

/// Writes a table with one row per level: everything that was measured at it.
void write_levels(const LevelStatistics& s, const NoiseSchedule& schedule,
                  const std::filesystem::path& stem) {
  Table table({"level", "signal", "sigma", "images", "ce_nats", "accuracy", "mse"});
  const auto value = [](const at::Tensor& values, std::int64_t t) {
    return values.defined() ? values[t].item<double>() : kNone;
  };
  for (std::int64_t t = 0; t < schedule.levels(); ++t) {
    table.add({t, schedule.signal(t), schedule.sigma(t), s.count[t].item<std::int64_t>(),
               value(s.ce, t), value(s.accuracy, t), value(s.mse, t)});
  }
  table.write_csv(stem.string() + "-levels.csv");
  table.write_json(stem.string() + "-levels.json");
}

/// Draws the confusion matrix. The numbers of a row are fractions of the images of that level.
void draw_confusion(const LevelStatistics& s, const std::string& model,
                    const std::filesystem::path& stem) {
  const std::int64_t group = s.confusion_group;
  const std::int64_t rows = s.confusion.size(0);
  const at::Tensor counts = s.confusion.to(at::kDouble);
  const at::Tensor shares = counts / counts.sum(1, true).clamp_min(1.0);
  Table table({"true_level", "decided_level", "share"});
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < rows; ++j) {
      table.add({i * group, j * group, shares[i][j].item<double>()});
    }
  }
  const std::filesystem::path file = stem.string() + "-confusion";
  table.write_csv(file.string() + ".csv");
  plot(file, "confusion",
       {concat("Confusion of levels: ", model), std::to_string(group), std::to_string(rows)});
}

void draw_calibration(const LevelStatistics& s, const std::string& model,
                      const std::filesystem::path& stem) {
  Table table({"mean_confidence", "accuracy", "images"});
  for (std::int64_t b = 0; b < kCalibrationBins; ++b) {
    const double n = s.bin_count[b].item<double>();
    if (n == 0.0) continue;
    table.add({s.bin_confidence[b].item<double>() / n, s.bin_correct[b].item<double>() / n,
               static_cast<std::int64_t>(n)});
  }
  const std::filesystem::path file = stem.string() + "-calibration";
  table.write_csv(file.string() + ".csv");
  plot(file, "calibration",
       {concat("Calibration of p(t|x): ", model, ", expected error ",
               fixed(s.calibration_error(), 4))});
}

void run(const Options& options, Evaluation& evaluation) {
  std::vector<NamedModel> models = load_runs(options.runs);
  load_data(models, options.data);
  add_runs(evaluation, options.runs, models);
  evaluation.take_folder(folder_for(options.runs, models));
  Table table(
      {"run", "images", "ce_nats", "accuracy", "mse", "bits_per_dim", "bits_per_dim_standard_error",
       "denoiser_bound_bits_per_dim", "denoiser_bound_standard_error", "calibration_error"},
      source_columns());
  for_each_model(models, options.levels.batch_size, [&](const NamedModel& named) {
    const auto& [name, loaded, data] = named;
    const Dataset dataset = spread_subset(data, options.data.limit);
    const at::Tensor labels = labels_for(loaded, dataset);
    Progress progress(name, dataset.size() * options.levels.repeats, "images");
    LevelOptions levels = options.levels;
    levels.dequantization = loaded.config.data.dequantize;
    const LevelStatistics s = level_statistics(loaded.model, levels, dataset.images, labels,
                                               [&](std::int64_t done) { progress.update(done); });
    const std::filesystem::path stem = evaluation.stem().string() + "-" + name;
    const std::vector<Cell> sources = source_cells(named, options.runs, dataset.description);
    write_levels(s, loaded.model.schedule(), stem);
    const auto in_bits = [&](const at::Tensor& nats) {
      return bits_per_dim(nats, dataset.images[0].numel(),
                          bits_offset(dataset, levels.dequantization));
    };
    BoundOptions bound_options;
    bound_options.levels = options.levels.repeats;
    bound_options.seed = options.levels.seed;
    bound_options.batch_size = options.levels.batch_size;
    bound_options.dequantization = levels.dequantization;
    const DenoiserBound nats = denoiser_bound(loaded.model, bound_options, dataset.images, labels);
    MeanEstimate bound = estimate_mean_by_place(in_bits(nats.log_prob), nats.place);
    if (!has_levels_to_denoise(loaded.model.schedule())) bound = interval_95(kNone, kNone);
    if (!loaded.model.has_density()) {
      table.add({name, dataset.size(), kNone, kNone, s.mean_mse(), kNone, kNone, bound.mean,
                 bound.standard_error, kNone},
                sources);
      return;
    }
    ScoreOptions score;
    score.batch_size = options.levels.batch_size;
    score.dequantization = levels.dequantization;
    const at::Tensor log_prob = score_images(loaded.model, score, dataset.images, labels).log_prob;
    const MeanEstimate bits = estimate_mean(in_bits(log_prob));
    table.add({name, dataset.size(), s.mean_ce(), s.mean_accuracy(), s.mean_mse(), bits.mean,
               bits.standard_error, bound.mean, bound.standard_error, s.calibration_error()},
              sources);
    draw_confusion(s, named.title(), stem);
    draw_calibration(s, named.title(), stem);
  });
  report(table, evaluation.stem());
}

}  // namespace

void add_levels(CLI::App& app, Chosen& chosen) {
  add_command<Options>(
      app, chosen,
      {"levels",
       "Cross entropy, accuracy, denoising error and likelihood (Table 1), confusion matrix "
       "(figure 9) and calibration.",
       "runs/first --split test --out results"},
      [](CLI::App& command, Options& options) {
        add_runs_options(command, options.runs);
        add_data_options(command, options.data);
        command
            .add_option("--repeats", options.levels.repeats,
                        "number of noise levels at which each image is evaluated")
            ->check(CLI::Range(1, 1000000));
        add_level_options(command, options.levels);
      },
      run);
}

}  // namespace cdm::eval
