// SPDX-License-Identifier: MIT
// cdm-sample: images from a trained model.
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cdm/data/batches.h"
#include "cdm/error.h"
#include "cdm/io/file.h"
#include "cdm/io/image.h"
#include "cdm/io/npy.h"
#include "cdm/io/npz.h"
#include "cdm/log.h"
#include "cdm/progress.h"
#include "cdm/sample/generate.h"
#include "cdm/sample/sampler.h"
#include "cdm/text.h"
#include "cdm/train/load_model.h"
#include "cdm/version.h"
#include "model_options.h"
#include "program.h"

namespace {

constexpr std::int64_t kLargestGrid = 256;
constexpr double kLargestGuidance = 1000.0;
constexpr std::int64_t kImagesOfASeed = std::int64_t{1} << 32;

struct Options {
  cdm::LoadOptions model;
  cdm::GenerateOptions generate;
  std::string out, grid, raw, init_noise, step_noise, sampler, spacing;
  std::vector<std::int64_t> classes;
  std::optional<std::int64_t> steps, zoom;
  std::optional<double> guidance;
};

cdm::SampleConfig sampling_of(const Options& options, const cdm::RunConfig& config) {
  cdm::SampleConfig sampling = config.sample;
  if (!options.sampler.empty()) sampling.sampler = options.sampler;
  if (!options.spacing.empty()) sampling.spacing = options.spacing;
  sampling.steps = options.steps.value_or(sampling.steps);
  sampling.guidance = options.guidance.value_or(sampling.guidance);
  if (!(sampling.guidance >= 0.0 && sampling.guidance <= kLargestGuidance)) {  // NaN neither
    throw cdm::UserError(cdm::concat("--guidance ", sampling.guidance, ": must be a number in 0..",
                                     kLargestGuidance));
  }
  cdm::sampling_levels(config.diffusion.steps, sampling.steps, sampling.spacing);  // legal?
  if (sampling.sampler != "ddpm" && !options.step_noise.empty()) {
    throw cdm::UserError(
        cdm::concat("--step-noise: the sampler ", sampling.sampler, " draws no noise; ddpm does"));
  }
  return sampling;
}

void check_classes(const std::vector<std::int64_t>& classes, const cdm::Network& network,
                   double guidance) {
  if (!network.is_conditional() && !classes.empty()) {
    throw cdm::UserError("--class: the model is unconditional (model.num_classes = 0)");
  }
  if (classes.empty() && guidance > 0.0) {
    throw cdm::UserError(network.is_conditional()
                             ? "--guidance: needs --class"
                             : "--guidance: the model is unconditional (model.num_classes = 0)");
  }
  for (const std::int64_t label : classes) {
    if (label < 0 || label >= network.num_classes()) {
      throw cdm::UserError(cdm::concat("--class ", label, ": must be in 0..",
                                       network.num_classes() - 1, ", the model's classes"));
    }
  }
}

at::Tensor read_noise(const std::string& file, std::vector<std::int64_t> shape) {
  if (file.empty()) return {};
  at::Tensor noise = cdm::read_npy(file);
  if (noise.sizes() != at::IntArrayRef(shape)) {
    throw cdm::UserError(
        cdm::concat(file, ": is ", noise.sizes(), " instead of ", at::IntArrayRef(shape)));
  }
  return noise;
}

void check_outputs(const Options& options) {
  if (options.out.empty() && options.grid.empty() && options.raw.empty()) {
    throw cdm::UserError(
        "nothing to write: give --out FILE.npz, --grid FILE.png or --raw FILE.npy");
  }
  for (const std::string& file : {options.out, options.grid, options.raw}) {
    cdm::require_folder_of(file);
  }
}

/// The files that images go to as they come.
class Outputs {
 public:
  Outputs(const Options& options, const cdm::Network& network) : options_(options) {
    const cdm::NetworkShape& shape = network.shape();
    const std::int64_t n = options.generate.count;
    if (!options.out.empty()) {
      npz_.emplace(options.out);
      npz_->begin("arr_0", at::kByte, {n, shape.image_size, shape.image_size, shape.channels});
    }
    if (!options.raw.empty()) {
      if (network.parameters().front().second.scalar_type() == at::kDouble) raw_type_ = at::kDouble;
      raw_.emplace(
          options.raw, raw_type_,
          std::vector<std::int64_t>{n, shape.channels, shape.image_size, shape.image_size});
    }
  }

  void take(const at::Tensor& images) {
    const at::Tensor pixels = cdm::to_pixels(images).to(at::kCPU);
    if (npz_) npz_->append(pixels.permute({0, 2, 3, 1}));
    if (raw_) raw_->append(images.to(at::kCPU, raw_type_));
    if (!options_.grid.empty() && gridded_ < kLargestGrid) {
      grid_.push_back(pixels.narrow(0, 0, std::min(pixels.size(0), kLargestGrid - gridded_)));
      gridded_ += grid_.back().size(0);
    }
  }

  void close(const at::Tensor& labels) {
    if (npz_) {
      if (labels.defined()) npz_->write("arr_1", labels);
      npz_->close();
    }
    if (raw_) raw_->close();
    if (!options_.grid.empty()) {
      const auto columns =
          static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(gridded_))));
      // Small images are enlarged, so that a grid of them can be looked at.
      const at::Tensor images = at::cat(grid_);
      const std::int64_t zoom =
          options_.zoom.value_or(std::max<std::int64_t>(1, 64 / images.size(3)));
      cdm::write_png(options_.grid, cdm::make_grid(images, columns, zoom));
    }
  }

 private:
  const Options& options_;
  std::optional<cdm::NpzWriter> npz_;
  std::optional<cdm::NpyWriter> raw_;
  at::ScalarType raw_type_ = at::kFloat;
  std::vector<at::Tensor> grid_;
  std::int64_t gridded_ = 0;
};

/// What made the images, beside them: FILE.npz.json.
void write_settings(const Options& options, const cdm::Model& model,
                    const cdm::SampleConfig& sampling) {
  nlohmann::ordered_json settings = {
      {"checkpoint", model.files.checkpoint.string()},
      {"weights", options.model.average ? "ema" : "model"},
      {"sampler", sampling.sampler},
      {"steps", sampling.steps},
      {"spacing", sampling.spacing},
      {"guidance", sampling.guidance},
      {"seed", options.generate.seed},
      {"first_image", options.generate.first_image},
      {"count", options.generate.count},
      {"classes", options.generate.classes},
      {"version", cdm::version_text()},
  };
  cdm::write_atomically(options.out + ".json",
                        [&](std::ostream& out) { out << settings.dump(2) << '\n'; });
}

void draw(Options& options) {
  check_outputs(options);
  const cdm::Model model = cdm::load_model(options.model);
  const cdm::Network& network = model.classifier.network();
  const cdm::NetworkShape& shape = network.shape();
  const cdm::SampleConfig sampling = sampling_of(options, model.config);
  cdm::GenerateOptions& generate = options.generate;
  generate.classes = options.classes;
  check_classes(generate.classes, network, sampling.guidance);
  if (generate.first_image + generate.count > kImagesOfASeed) {
    throw cdm::UserError(cdm::concat("--first-image ", generate.first_image, ": a seed has ",
                                     kImagesOfASeed, " images, too few for ", generate.count,
                                     " from there"));
  }
  generate.start = read_noise(options.init_noise,
                              {generate.count, shape.channels, shape.image_size, shape.image_size});
  generate.draws = read_noise(options.step_noise, {sampling.steps, generate.count, shape.channels,
                                                   shape.image_size, shape.image_size});

  Outputs outputs(options, network);
  {
    cdm::Progress progress("sampling", generate.count * sampling.steps, "image steps");
    cdm::generate(
        model.classifier, sampling, generate,
        [&](const at::Tensor& images) { outputs.take(images); },
        [&](std::int64_t evaluations) { progress.update(evaluations); });
    cdm::log_info(cdm::concat("sampled ", generate.count, " images by ", sampling.sampler, " in ",
                              sampling.steps, " steps, in ",
                              cdm::format_duration(progress.elapsed_seconds())));
  }
  outputs.close(cdm::classes_of_images(generate.classes, generate.first_image, generate.count));
  if (!options.out.empty()) write_settings(options, model, sampling);
  for (const std::string& file : {options.out, options.grid, options.raw}) {
    if (!file.empty()) std::cout << file << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cdm::Program program;
  program.name = "cdm-sample";
  program.description = "Draws images from a trained model.";
  program.example = "cdm-sample runs/first -n 64 --out samples.npz --grid samples.png --steps 50";
  program.declare = [&](CLI::App& app) {
    cdm::add_model_options(app, options.model);
    cdm::GenerateOptions& generate = options.generate;
    app.add_option("-n,--count", generate.count, "images to draw")->check(CLI::Range(1, 100000000));
    app.add_option("--out", options.out, "FILE.npz: arr_0, uint8 [N, H, W, C]; arr_1, the classes");
    app.add_option("--grid", options.grid,
                   cdm::concat("FILE.png: the images side by side, at most ", kLargestGrid));
    app.add_option("--zoom", options.zoom, "pixels of the grid per pixel; default: to about 64")
        ->check(CLI::Range(1, 64));
    app.add_option(
        "--raw", options.raw,
        "FILE.npy: [N, C, H, W] in the model's scale, unclamped; float64 with --precision fp64, "
        "else float32");
    app.add_option("--sampler", options.sampler, "ddpm or ddim; default: the configuration's")
        ->check(CLI::IsMember({"ddpm", "ddim"}));
    app.add_option("--steps", options.steps,
                   "network evaluations per image; default: the configuration's");
    app.add_option("--spacing", options.spacing,
                   "leading, trailing or linspace; default: the configuration's")
        ->check(CLI::IsMember({"leading", "trailing", "linspace"}));
    app.add_option("--guidance", options.guidance,
                   "w of classifier-free guidance; default: the configuration's");
    app.add_option("--class", options.classes,
                   "class or classes (0,1,3), used in turn; default: none, the null class")
        ->delimiter(',')
        ->allow_extra_args(false);
    app.add_option("--seed", generate.seed,
                   "of the noise; image i of a seed is the same whatever the batch")
        ->check(cdm::seed_range());
    app.add_option("--first-image", generate.first_image, "number of the first image of the seed")
        ->check(CLI::Range(std::int64_t{0}, kImagesOfASeed - 1));
    app.add_option("--batch", generate.batch_size, "images at a time")
        ->check(CLI::Range(1, 1000000));
    app.add_option("--init-noise", options.init_noise,
                   "FILE.npy: x_T in place of drawn noise, float32 or float64 [N, C, H, W]");
    app.add_option("--step-noise", options.step_noise,
                   "FILE.npy: every later draw in the order used, [steps, N, C, H, W]");
  };
  program.body = [&] { draw(options); };
  return cdm::run_program(program, argc, argv);
}
