// SPDX-License-Identifier: MIT
// cdm-nll: log-likelihoods of a data set, one forward pass per image.
#include <filesystem>
#include <iostream>
#include <ostream>
#include <string>

#include "cdm/data/dataset.h"
#include "cdm/error.h"
#include "cdm/eval/nll.h"
#include "cdm/io/file.h"
#include "cdm/log.h"
#include "cdm/progress.h"
#include "cdm/text.h"
#include "cdm/train/load_model.h"
#include "model_options.h"
#include "program.h"

namespace {

struct Options {
  cdm::LoadOptions model;
  cdm::ScoreOptions score;
  std::string data, split = "test", out, dequantize = "none";
  std::int64_t limit = 0;
  bool gaussian = false;
};

cdm::DataConfig data_of(const Options& options, const cdm::RunConfig& config) {
  if (options.data.empty()) return config.data;
  cdm::DataConfig data = cdm::detect_dataset(options.data);
  data.image_size = config.data.image_size;
  data.channels = config.data.channels;
  return data;
}

/// Labels that a conditional model is asked with; undefined for any other.
at::Tensor labels_for(const cdm::Network& network, const cdm::Dataset& dataset) {
  if (!network.is_conditional()) return {};
  if (!dataset.labels.defined()) {
    cdm::log_warning(cdm::concat(dataset.description, " has no labels: scored as the null class"));
    return {};
  }
  const auto largest = dataset.labels.max().item<std::int64_t>();
  if (largest >= network.num_classes()) {
    throw cdm::UserError(cdm::concat(dataset.description, ": has label ", largest,
                                     "; the model knows 0..", network.num_classes() - 1));
  }
  return dataset.labels;
}

void write_scores(const std::string& file, const at::Tensor& log_prob, const at::Tensor& bits,
                  const at::Tensor& labels) {
  cdm::write_atomically(file, [&](std::ostream& out) {
    out.precision(17);
    out << "index,log_prob_nats,bits_per_dim" << (labels.defined() ? ",label" : "") << "\n";
    const auto* const nats = log_prob.const_data_ptr<double>();
    const auto* const bits_per_dim = bits.const_data_ptr<double>();
    for (std::int64_t i = 0; i < log_prob.size(0); ++i) {
      out << i << ',' << nats[i] << ',' << bits_per_dim[i];
      if (labels.defined()) out << ',' << labels.const_data_ptr<std::int64_t>()[i];
      out << "\n";
    }
  });
}

void print_mean(const char* name, const cdm::MeanEstimate& mean, int digits) {
  std::cout << name << " " << cdm::fixed(mean.mean, digits) << " standard_error "
            << cdm::fixed(mean.standard_error, digits) << " interval_95 "
            << cdm::fixed(mean.low, digits) << " " << cdm::fixed(mean.high, digits) << "\n";
}

void score(Options& options) {
  const cdm::Split split = cdm::parse_split(options.split);
  cdm::require_folder_of(options.out);
  options.score.dequantization =
      options.dequantize == "none" ? cdm::Dequantization::none : cdm::Dequantization::uniform;
  if (options.score.draws > 1 && options.dequantize == "none") {
    throw cdm::UserError("--draws: has a meaning with --dequantize uniform only");
  }
  const cdm::Model model = cdm::load_model(options.model);
  const cdm::NoiseSchedule& schedule = model.classifier().schedule();
  if (options.score.level < 0 || options.score.level >= schedule.levels()) {
    throw cdm::UserError(cdm::concat("--level ", options.score.level, ": must be in 0..",
                                     schedule.levels() - 1, ", the model's levels"));
  }
  cdm::Dataset dataset = cdm::load_dataset(data_of(options, model.config), split);
  if (options.limit > 0 && options.limit < dataset.size()) {
    dataset.images = dataset.images.narrow(0, 0, options.limit);
    if (dataset.labels.defined()) dataset.labels = dataset.labels.narrow(0, 0, options.limit);
  }
  const at::Tensor labels = labels_for(model.classifier().network(), dataset);
  cdm::Dataset train;  // for the Gaussian
  if (options.gaussian) train = cdm::load_dataset(model.config.data, cdm::Split::train);

  cdm::Progress progress("scoring", dataset.size(), "images");
  const at::Tensor log_prob =
      cdm::score_images(model.classifier(), options.score, dataset.images, labels,
                        [&](std::int64_t done) { progress.update(done); });
  cdm::log_info(cdm::concat("scored ", dataset.size(), " images in ",
                            cdm::format_duration(progress.elapsed_seconds())));
  const std::int64_t dimensions = dataset.images[0].numel();
  const double offset = cdm::bits_offset(options.score.dequantization);
  const at::Tensor bits = cdm::bits_per_dim(log_prob, dimensions, offset);
  if (!options.out.empty()) write_scores(options.out, log_prob, bits, dataset.labels);

  std::cout << "data " << dataset.description << "\n"
            << "images " << dataset.size() << "\n"
            << "checkpoint " << model.files.checkpoint.string() << "\n"
            << "level " << options.score.level << "\n"
            << "dequantize " << options.dequantize << " draws "
            << (options.dequantize == "none" ? 1 : options.score.draws) << "\n"
            << "offset_bits " << cdm::fixed(offset, 6) << " (log2 of the "
            << (options.dequantize == "none" ? "127.5" : "128")
            << " 8-bit steps in one unit of x)\n";
  if (options.gaussian) {
    print_mean("gaussian_bits_per_dim",
               cdm::estimate_mean(cdm::gaussian_bits_per_dim(train.images, dataset.images,
                                                             options.score.dequantization)),
               4);
  }
  print_mean("log_prob_nats", cdm::estimate_mean(log_prob), 3);
  print_mean("bits_per_dim", cdm::estimate_mean(bits), 4);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cdm::Program program;
  program.name = "cdm-nll";
  program.description =
      "Scores a data set: log p_t of every image in nats and bits per dimension, by one forward "
      "pass "
      "each.";
  program.example = "cdm-nll runs/first --split test --out scores.csv";
  program.declare = [&](CLI::App& app) {
    cdm::add_model_options(app, options.model);
    app.add_option("--data", options.data,
                   "data set directory, or .npz with arr_0 uint8 [N, H, W, C]; default: the run's");
    app.add_option("--split", options.split, "train or test")
        ->check(CLI::IsMember({"train", "test"}));
    app.add_option("--limit", options.limit, "score the first images only; 0 = all")
        ->check(CLI::Range(0, 1 << 30));
    app.add_option("--out", options.out, "FILE.csv: index,log_prob_nats,bits_per_dim[,label]");
    app.add_option("--level", options.score.level,
                   "noise level t of log p_t; 0 = the density of the data");
    app.add_option("--dequantize", options.dequantize,
                   "none (the density at the 8-bit points) or uniform (noise of one 8-bit step)")
        ->check(CLI::IsMember({"none", "uniform"}));
    app.add_option("--draws", options.score.draws,
                   "with --dequantize uniform: draws per image, over which log p is averaged")
        ->check(CLI::Range(1, 100000));
    app.add_option("--seed", options.score.seed, "of the dequantisation noise")
        ->check(cdm::seed_range());
    app.add_option("--batch", options.score.batch_size, "images at a time")
        ->check(CLI::Range(1, 1000000));
    app.add_flag("--gaussian", options.gaussian,
                 "also score the images under a Gaussian with the training images' covariance");
  };
  program.body = [&] { score(options); };
  return cdm::run_program(program, argc, argv);
}
