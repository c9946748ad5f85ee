// SPDX-License-Identifier: MIT
// cdm-eval toy: compares the log-likelihoods of models with exact ones (figure 7).
#include "cdm/data/toy.h"

#include <ATen/TensorOperators.h>

#include <cmath>

#include "cdm/core/error.h"
#include "cdm/core/progress.h"
#include "cdm/core/text.h"
#include "cdm/eval/nll.h"
#include "cdm/eval/plot.h"
#include "command.h"

namespace cdm::eval {
namespace {

struct Options {
  RunsOptions runs;
  std::int64_t images = 1000;
  std::int64_t batch = 256;
};

constexpr std::int64_t kMostValues = std::int64_t{1} << 27;  // of all images: 1 GiB in float64

void check_run(const NamedModel& named, const Options& options) {
  const DataConfig& data = named.loaded.config.data;
  if (data.kind != DataKind::toy) {
    throw UserError(concat(named.name, ": data.kind = ", name_of(data.kind),
                           ": its density is not known; a run on data.kind = toy is needed"));
  }
  const std::int64_t d = data.channels * data.image_size * data.image_size;
  if (options.images * d > kMostValues) {
    throw UserError(concat("--images ", options.images, ": are too many of ", d,
                           " values each, as ", named.name, " has; at most ", kMostValues / d));
  }
}

void write_images(const at::Tensor& exact, const at::Tensor& estimated,
                  const std::filesystem::path& file) {
  Table table({"image", "exact_nats", "estimated_nats"});
  for (std::int64_t i = 0; i < exact.size(0); ++i) {
    table.add({i, exact[i].item<double>(), estimated[i].item<double>()});
  }
  table.write_csv(file);
}

void run(const Options& options, Evaluation& evaluation) {
  const std::vector<NamedModel> models = load_runs(options.runs);
  require_densities(models);
  for (const NamedModel& model : models) check_run(model, options);
  add_runs(evaluation, options.runs, models);
  evaluation.take_folder(folder_for(options.runs, models));
  Table table({"run", "distribution", "width", "dimensions", "images", "exact_nats_per_dim",
               "estimated_nats_per_dim", "spread_nats_per_dim", "mean_error_nats",
               "mean_error_percent_of_d"},
              source_columns());
  for_each_model(models, options.batch, [&](const NamedModel& named) {
    const std::string& name = named.name;
    const LoadedModel& loaded = named.loaded;
    const DataConfig& data = loaded.config.data;
    const std::unique_ptr<ToyDensity> density = make_toy_density(data);
    const at::Tensor x = density->sample(options.images, Split::test);
    Progress progress(name, options.images, "images");
    ScoreOptions score;
    score.batch_size = options.batch;
    const at::Tensor estimated = score_images(loaded.model, score, x, {}, [&](std::int64_t done) {
                                   progress.update(done);
                                 }).log_prob;
    const at::Tensor exact = density->log_prob(x);
    write_images(exact, estimated, concat(evaluation.stem().string(), "-", name, ".csv"));
    const auto d = static_cast<double>(x[0].numel());
    const double error = (estimated - exact).mean().item<double>();
    const bool has_width = data.toy != ToyKind::gaussian;
    table.add({name, name_of(data.toy), has_width ? data.toy_width : std::nan(""), x[0].numel(),
               options.images, exact.mean().item<double>() / d, estimated.mean().item<double>() / d,
               (estimated - exact).std().item<double>() / d, error, 100.0 * error / d},
              source_cells(named, options.runs, describe_dataset(data, Split::test)));
  });
  report(table, evaluation.stem());
  plot(evaluation.stem(), "toy", {std::to_string(models.size())});
}

}  // namespace

void add_toy(CLI::App& app, Chosen& chosen) {
  add_command<Options>(
      app, chosen,
      {"toy",
       "Compares the log-likelihoods of runs on data.kind = toy with the exact ones (figure 7).",
       "runs/peaks runs/peaks_nce --out results"},
      [](CLI::App& command, Options& options) {
        add_runs_options(command, options.runs);
        command.add_option("--images", options.images, "number of images drawn from each density")
            ->check(CLI::Range(2, 10000000));
        command.add_option("--batch", options.batch, "images computed at a time")
            ->check(CLI::Range(1, 1000000));
      },
      run);
}

}  // namespace cdm::eval
