// SPDX-License-Identifier: MIT
// cdm-sample: draws images from a trained model.
#include <ATen/ops/cat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/output_target.h"
#include "cdm/core/progress.h"
#include "cdm/core/text.h"
#include "cdm/core/version.h"
#include "cdm/data/batches.h"
#include "cdm/device/device.h"
#include "cdm/device/memory_advice.h"
#include "cdm/io/image.h"
#include "cdm/io/npy.h"
#include "cdm/io/npz.h"
#include "cdm/run/load_model.h"
#include "cdm/sample/generate.h"
#include "cdm/sample/sample.h"
#include "model_options.h"
#include "output_files.h"
#include "program.h"
#include "trajectory.h"

namespace {

constexpr std::int64_t kLargestGrid = 256;
constexpr double kLargestGuidance = 1000.0;
constexpr std::int64_t kImagesOfASeed = std::int64_t{1} << 32;

struct Options {
  cdm::LoadOptions model;
  cdm::GenerateOptions generate;
  std::string out, grid, raw, trajectory, init_noise, step_noise;
  std::optional<cdm::SamplerKind> sampler;
  std::optional<cdm::Spacing> spacing;
  std::string classes;
  std::optional<std::int64_t> steps, zoom;
  std::optional<double> guidance, eta;
};

bool draws_noise(const cdm::SampleConfig& sampling) {
  return cdm::make_sampler(sampling)->traits().draws_noise;
}

/// The names of the samplers that draw noise and can therefore use --step-noise.
std::string samplers_that_draw_noise(cdm::SampleConfig sampling) {
  std::vector<std::string> names;
  for (const auto& [kind, name] : cdm::KindNames<cdm::SamplerKind>::all) {
    sampling.sampler = kind;
    for (const double eta : {0.0, 1.0}) {
      sampling.eta = eta;
      if (!draws_noise(sampling)) continue;
      names.push_back(cdm::concat(name, eta > 0.0 ? " with --eta above 0" : ""));
      break;
    }
  }
  return cdm::join(names, ", ");
}

/// Throws UserError when an option and --set give two values for the same thing.
void check_given_once(const Options& options, const cdm::LoadedModel& loaded) {
  const std::vector<std::pair<std::string, bool>> given = {
      {"sampler", options.sampler.has_value()},
      {"spacing", options.spacing.has_value()},
      {"steps", options.steps.has_value()},
      {"guidance", options.guidance.has_value()},
      {"eta", options.eta.has_value()}};
  for (const auto& [name, is_given] : given) {
    if (is_given && loaded.changed.contains("sample." + name)) {
      throw cdm::UserError(
          cdm::concat("--", name, ": --set sample.", name, " gives another value; give one"));
    }
  }
}

cdm::SampleConfig sampling_of(const Options& options, const cdm::LoadedModel& loaded) {
  cdm::SampleConfig sampling = loaded.config.sample;
  sampling.sampler = options.sampler.value_or(sampling.sampler);
  sampling.spacing = options.spacing.value_or(sampling.spacing);
  sampling.steps = options.steps.value_or(sampling.steps);
  sampling.guidance = options.guidance.value_or(sampling.guidance);
  sampling.eta = options.eta.value_or(sampling.eta);
  check_given_once(options, loaded);
  const bool has_eta = options.eta || loaded.changed.contains("sample.eta");
  if (has_eta && sampling.sampler != cdm::SamplerKind::ddim) {
    throw cdm::UserError(cdm::concat(options.eta ? "--eta " : "--set sample.eta=", sampling.eta,
                                     ": is only for --sampler ddim; the sampler is ",
                                     cdm::name_of(sampling.sampler)));
  }
  if (!(sampling.eta >= 0.0 && sampling.eta <= 1.0)) {  // NaN, which CLI11's range lets pass
    throw cdm::UserError(cdm::concat("--eta ", sampling.eta, ": must be a number in 0..1"));
  }
  if (!(sampling.guidance >= 0.0 && sampling.guidance <= kLargestGuidance)) {  // also for NaN
    throw cdm::UserError(cdm::concat("--guidance ", sampling.guidance, ": must be a number in 0..",
                                     kLargestGuidance));
  }
  cdm::check_sampling(loaded.model.schedule(), loaded.model.network().predicts(), sampling);
  if (!draws_noise(sampling) && !options.step_noise.empty()) {
    throw cdm::UserError(cdm::concat("--step-noise: the sampler ", cdm::name_of(sampling.sampler),
                                     " draws no noise; it must be one of ",
                                     samplers_that_draw_noise(sampling)));
  }
  return sampling;
}

/// The numbers of a position in an array, as Python writes them: "[0, 0, 3, 4]".
std::string position_text(const at::Tensor& position) {
  std::vector<std::string> numbers;
  for (std::int64_t i = 0; i < position.size(0); ++i) {
    numbers.push_back(std::to_string(position[i].item<std::int64_t>()));
  }
  return cdm::concat("[", cdm::join(numbers, ", "), "]");
}

at::Tensor read_noise(const std::string& file, std::vector<std::int64_t> shape) {
  if (file.empty()) return {};
  at::Tensor noise = cdm::read_npy(file);
  if (noise.scalar_type() != at::kFloat && noise.scalar_type() != at::kDouble) {
    throw cdm::UserError(
        cdm::concat(file, ": holds ", noise.scalar_type(), "; noise is float32 or float64"));
  }
  if (noise.sizes() != at::IntArrayRef(shape)) {
    throw cdm::UserError(
        cdm::concat(file, ": is ", noise.sizes(), " instead of ", at::IntArrayRef(shape)));
  }
  if (const at::Tensor wrong = noise.isfinite().logical_not().nonzero(); wrong.size(0) > 0) {
    throw cdm::UserError(cdm::concat(file, ": is NaN or infinite in ", wrong.size(0), " of ",
                                     noise.numel(), " places, first at ", position_text(wrong[0])));
  }
  return noise;
}

std::vector<std::string> output_files(const Options& options) {
  std::vector<std::string> files;
  for (const std::string& file : {options.out, options.grid, options.raw, options.trajectory}) {
    if (!file.empty()) files.push_back(file);
  }
  return files;
}

/// The type of the numbers that --raw writes.
at::ScalarType raw_type(const cdm::Network& network) {
  const bool is_double = network.options().dtype() == at::kDouble;
  return is_double ? at::kDouble : at::kFloat;
}

void check_outputs(const Options& options) {
  if (output_files(options).empty()) {
    throw cdm::UserError(
        "nothing to write: give --out FILE.npz, --grid FILE.png, --raw FILE.npy or --trajectory "
        "FILE.npz");
  }
  if (options.zoom && options.grid.empty()) {
    throw cdm::UserError("--zoom: can be given only with --grid");
  }
  const cdm::NamedFile out = {"--out", options.out}, grid = {"--grid", options.grid},
                       raw = {"--raw", options.raw},
                       trajectory = {"--trajectory", options.trajectory},
                       settings = {"the settings beside --out", cdm::settings_file(options.out)};
  cdm::require_suffix(out, ".npz");
  cdm::require_suffix(grid, ".png");
  cdm::require_suffix(raw, ".npy");
  cdm::require_suffix(trajectory, ".npz");
  const std::vector<cdm::NamedFile> outputs = {out, settings, grid, raw, trajectory};
  cdm::require_distinct(
      outputs, {{"--init-noise", options.init_noise}, {"--step-noise", options.step_noise}});
  for (const cdm::NamedFile& output : outputs) cdm::require_writable_file(output.file);
}

/// Throws UserError unless the disk has room for the files whose size grows with the number of
/// images.
void check_space(const Options& options, const cdm::Network& network) {
  const cdm::NetworkShape& shape = network.shape();
  const std::int64_t values =
      options.generate.count * shape.channels * shape.image_size * shape.image_size;
  const auto raw_size = static_cast<std::int64_t>(c10::elementSize(raw_type(network)));
  std::vector<cdm::PlannedFile> files;
  if (!options.out.empty()) files.push_back({options.out, values});
  if (!options.raw.empty()) files.push_back({options.raw, values * raw_size});
  cdm::require_space(files, cdm::concat("-n ", options.generate.count));
}

/// The files to which images are written as they are drawn.
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
      raw_type_ = raw_type(network);
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
      // Small images are enlarged to about 64 pixels, so that they can be seen in the grid.
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

/// Writes the settings that the images were drawn with. There, class_names are the names of all
/// classes of the model, and changed_keys the keys of the run's configuration that --set has
/// changed.
void write_settings(const std::string& file, const Options& options, const cdm::LoadedModel& loaded,
                    const cdm::SampleConfig& sampling) {
  nlohmann::ordered_json settings = {
      {"checkpoint", std::filesystem::weakly_canonical(loaded.files.checkpoint).string()},
      {"weights", options.model.weights},
      {"sampler", cdm::name_of(sampling.sampler)},
      {"steps", sampling.steps},
      {"spacing", cdm::name_of(sampling.spacing)},
      {"eta", sampling.eta},
      {"guidance", sampling.guidance},
      {"precision", cdm::name_of(loaded.arithmetic)},
      {"seed", options.generate.seed},
      {"init_noise", options.init_noise},
      {"step_noise", options.step_noise},
      {"first_image", options.generate.first_image},
      {"count", options.generate.count},
      {"classes", options.generate.classes},
      {"class_names", loaded.config.model.class_names},
      {"data_kind", cdm::name_of(loaded.config.data.kind)},
      {"changed_keys", loaded.changed},
      {"version", cdm::version_text()},
  };
  if (sampling.sampler != cdm::SamplerKind::ddim) settings.erase("eta");
  cdm::write_json(file, settings);
}

void draw(Options& options) {
  check_outputs(options);
  const cdm::ProcessGroup group = cdm::join_group();
  if (!group.is_alone() && !options.trajectory.empty()) {
    throw cdm::UserError("--trajectory: is written by a single process only");
  }
  options.model.local_rank = group.local_rank();
  options.model.work = cdm::Work::sampling;
  const cdm::LoadedModel loaded = cdm::load_model(options.model);
  const cdm::Network& network = loaded.model.network();
  const cdm::NetworkShape& shape = network.shape();
  const cdm::SampleConfig sampling = sampling_of(options, loaded);
  cdm::GenerateOptions& generate = options.generate;
  generate.classes =
      cdm::chosen_classes(options.classes, loaded, sampling.guidance, options.guidance.has_value());
  if (generate.first_image + generate.count > kImagesOfASeed) {
    throw cdm::UserError(cdm::concat("--first-image ", generate.first_image, ": a seed has ",
                                     kImagesOfASeed, " images, too few for ", generate.count,
                                     " from there"));
  }
  check_space(options, network);
  generate.start = read_noise(options.init_noise,
                              {generate.count, shape.channels, shape.image_size, shape.image_size});
  generate.draws = read_noise(options.step_noise, {sampling.steps, generate.count, shape.channels,
                                                   shape.image_size, shape.image_size});

  std::optional<cdm::Trajectory> trajectory;
  if (!options.trajectory.empty()) {
    trajectory.emplace(options.trajectory, generate.count, loaded.model.schedule(), sampling,
                       shape);
  }
  if (group.is_first()) {
    const std::string doubt = cdm::warning_of_start(loaded.model.schedule(), sampling);
    if (!doubt.empty()) cdm::log_warning(doubt);
  }
  std::optional<Outputs> outputs;
  if (group.is_first()) outputs.emplace(options, network);
  {
    cdm::Progress progress("sampling", generate.count * sampling.steps, "image steps");
    std::int64_t done = 0;
    const auto run = [&] {
      cdm::generate(
          loaded.model, sampling, generate,
          [&](const at::Tensor& images) { outputs->take(images); },
          [&](std::int64_t first, const cdm::SampleStep& step) {
            if (trajectory) trajectory->take(first, step);
            done += step.x.size(0) * group.size();  // the other processes are about as far
            progress.update(std::min(done, generate.count * sampling.steps));
          },
          group);
    };
    const auto trial = [&](std::int64_t images) {
      cdm::GenerateOptions smaller = generate;
      smaller.count = smaller.batch_size = images;
      cdm::generate(loaded.model, sampling, smaller, [](const at::Tensor&) {});
    };
    cdm::explain_memory({"--batch", std::min(generate.batch_size, generate.count)},
                        cdm::memory_meter(network.options().device()), run, trial);
    cdm::log_info(cdm::concat(
        "sampled ", generate.count, " images by ", cdm::name_of(sampling.sampler), " in ",
        sampling.steps, " steps (", cdm::evaluations_per_image(sampling),
        " network evaluations per image), in ", cdm::format_duration(progress.elapsed_seconds())));
  }
  if (!group.is_first()) return;
  if (trajectory) trajectory->write();
  outputs->close(cdm::classes_of_images(generate.classes, generate.first_image, generate.count));
  if (const std::string file = cdm::settings_file(options.out); !file.empty()) {
    write_settings(file, options, loaded, sampling);
  }
  std::string written;
  for (const std::string& file : output_files(options)) {
    const cdm::OutputTarget target = cdm::find_output_target(file);
    if (target.descriptor == STDOUT_FILENO) return;  // it has images and nothing else
    if (!target.is_stream) written += file + "\n";
  }
  std::cout << written;
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
    app.add_option("-n,--count", generate.count, "number of images to draw")
        ->check(CLI::Range(std::int64_t{1}, kImagesOfASeed));
    app.add_option("--out", options.out,
                   "FILE.npz: images arr_0, uint8 [N, H, W, C], and with --class their classes "
                   "arr_1, int64 [N]");
    app.add_option("--grid", options.grid,
                   cdm::concat("FILE.png: a grid of the first ", kLargestGrid, " images"));
    app.add_option("--zoom", options.zoom,
                   "with --grid: enlarge the images by this factor; default: to about 64 pixels")
        ->check(CLI::Range(1, 64));
    app.add_option(
        "--raw", options.raw,
        "FILE.npy: images [N, C, H, W] in the model's scale, not clamped to [-1, 1]; float64 with "
        "--precision fp64, else float32");
    app.add_option(
        "--trajectory", options.trajectory,
        "FILE.npz: for S steps, the levels visited, int64 [S+1]; the images x_t at these levels, "
        "float32 [N, S+1, C, H, W]; and the prediction x_0 of each step, float32 [N, S, C, H, W]");
    cdm::add_kind_option(app, "--sampler", options.sampler, "default: the configuration's");
    cdm::add_kind_option(app, "--spacing", options.spacing, "default: the configuration's");
    app.add_option(
        "--steps", options.steps,
        "sampling steps per image (heun evaluates the network twice in a step, the other samplers "
        "once); default: the configuration's");
    app.add_option("--eta", options.eta,
                   "with --sampler ddim: noise added in each step, 0 = none, 1 = as much as ddpm; "
                   "default: the configuration's")
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("--guidance", options.guidance,
                   "w of classifier-free guidance, 0 = none; default: the configuration's");
    cdm::add_class_option(app, options.classes);
    app.add_option("--seed", generate.seed,
                   "seed of the noise; image i of a seed does not depend on -n or --batch")
        ->check(cdm::seed_range());
    app.add_option("--first-image", generate.first_image,
                   "number of the first image of the seed to draw, counted from 0")
        ->check(CLI::Range(std::int64_t{0}, kImagesOfASeed - 1));
    app.add_option("--batch", generate.batch_size, "images drawn at a time")
        ->check(CLI::Range(1, 1000000));
    app.add_option("--init-noise", options.init_noise,
                   "FILE.npy: start from this noise x_T, float32 or float64 [N, C, H, W]");
    app.add_option("--step-noise", options.step_noise,
                   "FILE.npy: use this noise in the steps, float32 or float64 [steps, N, C, H, W]");
  };
  program.body = [&] { draw(options); };
  return cdm::run_program(program, argc, argv);
}
