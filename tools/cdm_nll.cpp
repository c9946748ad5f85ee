// SPDX-License-Identifier: MIT
// cdm-nll: computes log-likelihoods of a data set, by one forward pass per image.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/log.h"
#include "cdm/core/progress.h"
#include "cdm/core/tensors.h"
#include "cdm/core/text.h"
#include "cdm/core/version.h"
#include "cdm/device/memory_advice.h"
#include "cdm/eval/denoiser_bound.h"
#include "cdm/eval/nll.h"
#include "cdm/eval/table.h"
#include "cdm/run/load_model.h"
#include "data_options.h"
#include "model_options.h"
#include "output_files.h"
#include "program.h"

namespace {

struct Options {
  cdm::LoadOptions model;
  cdm::DataOptions data;
  cdm::ScoreOptions score;
  std::string out;
  std::optional<cdm::Dequantization> dequantize;  // empty = as in the run's training
  bool gaussian = false;
  std::int64_t check = 0;  // noise levels per image for the denoiser's bound; 0 = no bound
};

void write_scores(const std::string& file, const cdm::Scores& scores, const at::Tensor& bits,
                  const at::Tensor& bound, const cdm::Dataset& dataset, bool has_draws) {
  const at::Tensor& labels = dataset.labels;
  const std::vector<std::string>& names = dataset.file_names;
  cdm::write_atomically(file, [&](std::ostream& out) {
    out.precision(17);
    out << "index,log_prob_nats,bits_per_dim" << (labels.defined() ? ",label" : "")
        << (has_draws ? ",importance_weighted_nats" : "")
        << (bound.defined() ? ",denoiser_bound_nats" : "") << (names.empty() ? "" : ",file")
        << "\n";
    const auto* const nats = scores.log_prob.const_data_ptr<double>();
    const auto* const weighted = scores.importance_weighted.const_data_ptr<double>();
    const auto* const bits_per_dim = bits.const_data_ptr<double>();
    for (std::int64_t i = 0; i < bits.size(0); ++i) {
      out << i << ',' << nats[i] << ',' << bits_per_dim[i];
      if (labels.defined()) out << ',' << labels.const_data_ptr<std::int64_t>()[i];
      if (has_draws) out << ',' << weighted[i];
      if (bound.defined()) out << ',' << bound.const_data_ptr<double>()[i];
      if (!names.empty()) out << ',' << cdm::csv_field(names[static_cast<std::size_t>(i)]);
      out << "\n";
    }
  });
}

nlohmann::ordered_json mean_as_json(const cdm::MeanEstimate& mean) {
  nlohmann::ordered_json json = {{"mean", mean.mean}};
  if (std::isfinite(mean.standard_error)) {  // it is NaN for a single image
    json["standard_error"] = mean.standard_error;
    json["interval_95"] = {mean.low, mean.high};
  }
  return json;
}

/// What the scores are scores of, how they were computed, and their means. changed_keys are the
/// keys of the run's configuration that --set has changed.
nlohmann::ordered_json settings_of(const Options& options, const cdm::LoadedModel& loaded,
                                   const cdm::Dataset& dataset,
                                   const nlohmann::ordered_json& means) {
  const bool is_conditional = loaded.config.model.num_classes > 0;
  return {
      {"checkpoint", loaded.files.checkpoint.string()},
      {"weights", options.model.weights},
      {"data", dataset.description},
      {"split", options.data.split},
      {"limit", options.data.limit},
      {"images", dataset.size()},
      {"conversion", dataset.conversion},
      {"scored_with", !is_conditional            ? "no classes"
                      : dataset.labels.defined() ? "labels"
                                                 : "null class"},
      {"class_names", dataset.class_names},
      {"precision", cdm::name_of(loaded.arithmetic)},
      {"level", options.score.level},
      {"dequantize", cdm::name_of(options.score.dequantization)},
      {"draws", options.score.draws},
      {"check", options.check},
      {"seed", options.score.seed},
      {"means", means},
      {"changed_keys", loaded.changed},
      {"version", cdm::version_text()},
  };
}

void print_mean(const char* name, const cdm::MeanEstimate& mean, int digits) {
  std::cout << name << " " << cdm::fixed(mean.mean, digits);
  if (std::isfinite(mean.standard_error)) {  // it is NaN for a single image
    std::cout << " standard_error " << cdm::fixed(mean.standard_error, digits) << " interval_95 "
              << cdm::fixed(mean.low, digits) << " " << cdm::fixed(mean.high, digits);
  }
  std::cout << "\n";
}

/// Sets options.score.dequantization, by default to that of the run's training, and warns when
/// another one is requested.
void choose_dequantization(Options& options, const cdm::RunConfig& config) {
  const cdm::Dequantization trained = config.data.dequantize;
  const cdm::Dequantization chosen = options.dequantize.value_or(trained);
  const bool is_uniform = chosen == cdm::Dequantization::uniform;
  options.score.dequantization = chosen;
  if (options.score.draws > 1 && !is_uniform) {
    throw cdm::UserError("--draws: can be given only with --dequantize uniform");
  }
  if (chosen != trained) {
    cdm::log_warning(cdm::concat(
        "--dequantize ", cdm::name_of(chosen),
        ": the run was trained with data.dequantize = ", cdm::name_of(trained),
        is_uniform
            ? " and never saw values between the 8-bit values: its density is unknown there"
            : ", which scales pixels in another way; without noise, the density is no bound on the "
              "probability of the 8-bit image"));
  }
}

void require_pixels(const cdm::Dataset& dataset, const char* option) {
  if (dataset.has_pixels()) return;
  throw cdm::UserError(cdm::concat(option, ": ", dataset.description, " has no 8-bit pixels"));
}

void score(Options& options) {
  const cdm::NamedFile out = {"--out", options.out};
  cdm::require_suffix(out, ".csv");
  cdm::require_distinct({out}, {{"--data", options.data.data}});
  cdm::require_writable_file(options.out);
  cdm::require_writable_file(cdm::settings_file(options.out));
  const cdm::ProcessGroup group = cdm::join_group();
  options.model.local_rank = group.local_rank();
  const cdm::LoadedModel loaded = cdm::load_model(options.model);
  loaded.density();  // throws when the model has none
  const cdm::Model& model = loaded.model;
  choose_dequantization(options, loaded.config);
  if (options.score.level < 0 || options.score.level >= model.schedule().levels()) {
    throw cdm::UserError(cdm::concat("--level ", options.score.level, ": must be in 0..",
                                     model.schedule().levels() - 1, ", the model's levels"));
  }
  if (options.check > 0 && options.score.level > 0) {
    throw cdm::UserError("--check: can be given only with --level 0");
  }
  if (options.check > 0 && !cdm::has_levels_to_denoise(model.schedule())) {
    throw cdm::UserError("--check: the model has no level with both image and noise to denoise");
  }
  const cdm::Dataset dataset = cdm::load_chosen_dataset(options.data, loaded);
  if (options.score.dequantization == cdm::Dequantization::uniform) {
    require_pixels(dataset, "--dequantize uniform");
  }
  const at::Tensor labels = cdm::labels_for(loaded, dataset);
  cdm::Dataset train;  // for --gaussian
  if (options.gaussian) {
    require_pixels(dataset, "--gaussian");
    train = cdm::load_dataset(loaded.config.data, cdm::Split::train);
    require_pixels(train, "--gaussian");
  }

  cdm::Progress progress("scoring", dataset.size(), "images");
  cdm::Scores scores;
  cdm::explain_memory(
      {"--batch", std::min(options.score.batch_size, dataset.size())},
      cdm::memory_meter(model.network().options().device()),
      [&] {
        scores = cdm::score_images(
            model, options.score, dataset.images, labels,
            [&](std::int64_t done) { progress.update(done); }, group);
      },
      [&](std::int64_t images) {
        cdm::score_images(model, options.score, dataset.images.narrow(0, 0, images),
                          cdm::rows_of(labels, 0, images));
      });
  cdm::DenoiserBound bound;  // empty without --check
  if (options.check > 0) {
    cdm::Progress checking("checking", dataset.size(), "images");
    cdm::BoundOptions bound_options;
    bound_options.levels = options.check;
    bound_options.dequantization = options.score.dequantization;
    bound_options.seed = options.score.seed;
    bound_options.batch_size = options.score.batch_size;
    bound = cdm::denoiser_bound(
        model, bound_options, dataset.images, labels,
        [&](std::int64_t done) { checking.update(done); }, group);
  }
  if (!group.is_first()) return;
  cdm::log_info(cdm::concat("scored ", dataset.size(), " images in ",
                            cdm::format_duration(progress.elapsed_seconds())));
  const std::int64_t dimensions = dataset.images[0].numel();
  const double offset = cdm::bits_offset(dataset, options.score.dequantization);
  const at::Tensor bits = cdm::bits_per_dim(scores.log_prob, dimensions, offset);
  const bool has_draws = options.score.draws > 1;
  const bool raw = options.score.dequantization == cdm::Dequantization::none;
  std::cout << "data " << dataset.description << "\n"
            << "images " << dataset.size() << "\n"
            << "checkpoint " << loaded.files.checkpoint.string() << "\n"
            << "level " << options.score.level << "\n"
            << "dequantize " << cdm::name_of(options.score.dequantization) << " draws "
            << (raw ? 1 : options.score.draws) << "\n"
            << "offset_bits " << cdm::fixed(offset, 6);
  if (dataset.has_pixels()) {
    std::cout << " (log2 of the " << (raw ? "127.5" : "128") << " 8-bit steps in one unit of x)\n";
  } else {
    std::cout << " (no pixels: a density per unit of x)\n";
  }
  nlohmann::ordered_json means;
  const auto report_mean = [&](const char* name, const cdm::MeanEstimate& mean, int digits) {
    print_mean(name, mean, digits);
    means[name] = mean_as_json(mean);
  };
  const auto report = [&](const char* name, const at::Tensor& values, int digits) {
    report_mean(name, cdm::estimate_mean(values), digits);
  };
  if (options.gaussian) {
    report("gaussian_bits_per_dim",
           cdm::gaussian_bits_per_dim(train.images, dataset.images, options.score.dequantization),
           4);
  }
  report("log_prob_nats", scores.log_prob, 3);
  if (has_draws) {
    report("importance_weighted_bits_per_dim",
           cdm::bits_per_dim(scores.importance_weighted, dimensions, offset), 4);
  }
  report("bits_per_dim", bits, 4);
  if (options.check > 0) {
    const at::Tensor bound_bits = cdm::bits_per_dim(bound.log_prob, dimensions, offset);
    const cdm::MeanEstimate gap = cdm::estimate_mean_by_place(bits - bound_bits, bound.place);
    report_mean("denoiser_bound_bits_per_dim", cdm::estimate_mean_by_place(bound_bits, bound.place),
                4);
    report_mean("gap_bits_per_dim", gap, 4);
    const std::string warning = cdm::warning_of_gap(gap);
    if (!warning.empty()) cdm::log_warning(warning);
  }
  if (!options.out.empty()) {
    write_scores(options.out, scores, bits, bound.log_prob, dataset, has_draws);
    const std::string file = cdm::settings_file(options.out);
    if (!file.empty()) cdm::write_json(file, settings_of(options, loaded, dataset, means));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cdm::Program program;
  program.name = "cdm-nll";
  program.description =
      "Scores a data set: log p_t(x) of every image, in nats and in bits per dimension, by one "
      "forward pass per image.";
  program.example = "cdm-nll runs/first --split test --out scores.csv";
  program.declare = [&](CLI::App& app) {
    cdm::add_model_options(app, options.model);
    cdm::add_data_options(app, options.data);
    app.add_option("--out", options.out,
                   "FILE.csv: a line per image, index,log_prob_nats,bits_per_dim[,label]"
                   "[,importance_weighted_nats][,denoiser_bound_nats][,file]; and FILE.csv.json: "
                   "what was scored, and how");
    app.add_option("--level", options.score.level,
                   "noise level t of the density p_t; 0 = the density of the data; the images get "
                   "no noise");
    cdm::add_kind_option(app, "--dequantize", options.dequantize,
                         "none = the density at the 8-bit values, uniform = with uniform noise of "
                         "one 8-bit step added; default: the run's data.dequantize");
    app.add_option("--draws", options.score.draws,
                   "with --dequantize uniform: number of noises per image, over which log p is "
                   "averaged; with more than one, the importance-weighted estimate (the log of the "
                   "mean of p) is given as well")
        ->check(CLI::Range(1, 100000));
    app.add_option("--seed", options.score.seed, "seed of the dequantisation noise")
        ->check(cdm::seed_range());
    app.add_option("--batch", options.score.batch_size, "images computed at a time")
        ->check(CLI::Range(1, 1000000));
    app.add_option("--check", options.check,
                   "also bound the log-likelihood by the model's own denoiser, at this number of "
                   "noise levels per image (0 = not; 4 is enough for 1,000 images), and print the "
                   "gap between the two")
        ->check(CLI::Range(0, 100000));
    app.add_flag("--gaussian", options.gaussian,
                 "also score the images under a Gaussian with the mean and covariance of the "
                 "training images, for comparison");
  };
  program.body = [&] { score(options); };
  return cdm::run_program(program, argc, argv);
}
