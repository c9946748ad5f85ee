// SPDX-License-Identifier: MIT
// cdm-eval fid: Frechet distance, kernel distance, precision and recall between generated images
// and real ones, in the features of a network that the user gives, and the share of broken images.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "../output_files.h"
#include "../program.h"
#include "cdm/core/error.h"
#include "cdm/core/for_each_batch.h"
#include "cdm/core/log.h"
#include "cdm/core/progress.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "cdm/data/subset.h"
#include "cdm/device/device.h"
#include "cdm/device/random.h"
#include "cdm/eval/broken.h"
#include "cdm/eval/feature_network.h"
#include "cdm/eval/frechet.h"
#include "cdm/eval/plot.h"
#include "cdm/sample/generate.h"
#include "command.h"

namespace cdm::eval {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint64_t kKeptImages = 0xffffffff;  // a random stream that kid() does not use

struct Options {
  LoadOptions model;  // its path is empty when --samples is given
  std::string samples, reference, split = "train", features, save_reference, out;
  std::string feature_resize = "network";
  std::int64_t feature_resize_to = 299;
  GenerateOptions generate;
  std::string classes;
  std::int64_t subsets = 100, subset_size = 1000, neighbours = 3, manifold = 10000;
};

/// min(count, total) of the numbers 0..total-1, chosen at random, ascending. Neither the first
/// images nor every n-th image would do: images may be sorted by class, or drawn with the classes
/// in turn.
at::Tensor random_numbers(std::uint64_t seed, std::int64_t total, std::int64_t count) {
  const at::Tensor order = permutation({seed, Purpose::data_order, kKeptImages}, total);
  return std::get<0>(order.narrow(0, 0, std::min(count, total)).sort());
}

/// Computes the features of images, batch by batch. It keeps the moments of all features, the
/// features of the images with the numbers `chosen` (ascending), and all total variations.
class Features {
 public:
  Features(const FeatureNetwork& network, at::Tensor chosen)
      : network_(network), statistics_(network.dimensions()), chosen_(std::move(chosen)) {}

  /// Adds images uint8 [B, C, H, W].
  void add(const at::Tensor& images) {
    const at::Tensor features = network_.features(images).to(at::kCPU);
    const std::int64_t first = statistics_.count();
    statistics_.add(features);
    variations_.push_back(cdm::total_variation(images));
    const at::Tensor here = chosen_.ge(first).logical_and(chosen_.lt(statistics_.count()));
    kept_.push_back(features.index_select(0, chosen_.masked_select(here) - first));
  }
  void add_all(const Dataset& dataset, std::int64_t batch, const std::string& task) {
    Progress progress(task, dataset.size(), "images");
    for_each_batch(dataset.size(), batch, [&](std::int64_t first, std::int64_t count) {
      add(dataset.images.narrow(0, first, count));
      progress.update(first + count);
    });
  }

  FeatureMoments moments(const std::string& source) const { return statistics_.moments(source); }
  at::Tensor kept() const { return at::cat(kept_); }
  /// float64 [N], in the order in which the images were added.
  at::Tensor total_variation() const { return at::cat(variations_); }

 private:
  const FeatureNetwork& network_;
  FeatureStatistics statistics_;
  at::Tensor chosen_;
  std::vector<at::Tensor> kept_, variations_;
};

Dataset load_pixels(const DataConfig& config, Split split) {
  Dataset dataset = load_dataset(config, split);
  if (!dataset.has_pixels()) {
    throw UserError(concat(dataset.description, ": has no 8-bit pixels to compare"));
  }
  return dataset;
}

/// The images that are compared with the reference: drawn by a model, or before.
struct Judged {
  std::optional<LoadedModel> model;
  std::vector<std::int64_t> classes;  // that the model draws
  std::optional<Dataset> samples;     // without a model

  std::int64_t image_size() const {
    return model ? model->model.network().shape().image_size : samples->image_size();
  }
};

Judged load_judged(const Options& options) {
  Judged judged;
  if (options.samples.empty()) {
    LoadOptions load = options.model;
    load.work = Work::sampling;
    judged.model = load_model(load);
    const Model& model = judged.model->model;
    const SampleConfig& sampling = judged.model->config.sample;
    check_sampling(model.schedule(), model.network().predicts(), sampling);
    judged.classes = chosen_classes(options.classes, *judged.model, sampling.guidance,
                                    /*is_option=*/false);
  } else {
    DataConfig config = RunConfig().data;
    config.kind = DataKind::npz;
    config.path = options.samples;
    judged.samples = load_pixels(config, Split::train);
  }
  return judged;
}

/// What the judged images are compared with: images, or the moments of their features.
struct Reference {
  std::optional<Dataset> images;
  std::optional<FeatureMoments> moments;  // without images
};

/// Images are resized to size x size pixels if their data set is one that is resized.
Reference load_reference(const Options& options, const std::optional<LoadedModel>& model,
                         std::int64_t size) {
  const Split split = parse_split(options.split);
  if (options.reference.empty()) {
    if (!model) {
      throw UserError(
          "--reference: needed with --samples: an .npz of images, or of mu and sigma, "
          "or a data set directory");
    }
    return {load_pixels(model->config.data, split), {}};
  }
  if (std::filesystem::is_regular_file(options.reference) && holds_moments(options.reference)) {
    return {{}, read_moments(options.reference)};
  }
  Dataset real = load_pixels(detect_dataset_of_size(options.reference, size), split);
  if (!real.conversion.empty()) {
    log_warning(concat(real.description, ": ", real.conversion,
                       "; distances to resized images depend on how they are resized"));
  }
  return {real, {}};
}

void check_sizes(const Dataset& real, std::int64_t image_size, const std::string& of_what) {
  if (real.image_size() == image_size) return;
  throw UserError(concat(of_what, " are ", image_size, " pixels a side, those of ",
                         real.description, " ", real.image_size(),
                         ": only images of one size can be compared"));
}

/// Throws UserError when there are too few images for precision and recall.
void check_neighbours(const Options& options, const std::string& of_what, std::int64_t images) {
  const std::int64_t looked_at = std::min(images, options.manifold);
  if (looked_at > options.neighbours) return;
  throw UserError(concat("--neighbours ", options.neighbours, ": needs at least ",
                         options.neighbours + 1, " images on each side; of ", of_what, ", ",
                         looked_at, " are used (--manifold ", options.manifold, ")"));
}

void check_together(const Options& options, const Judged& judged, const Reference& reference,
                    const FeatureNetwork& network) {
  if (reference.images) {
    check_neighbours(options, judged.model ? "the drawn images" : options.samples,
                     judged.model ? options.generate.count : judged.samples->size());
    check_neighbours(options, reference.images->description, reference.images->size());
  } else if (reference.moments->dimensions() != network.dimensions()) {
    throw UserError(concat(options.reference, ": has ", reference.moments->dimensions(),
                           " features, but ", options.features, " gives ", network.dimensions(),
                           "; both have to come from one network"));
  }
}

/// Adds to the settings what is compared, and in which features.
void add_settings(Evaluation& evaluation, const Options& options, const Judged& judged,
                  const Reference& reference, const FeatureNetwork& network) {
  if (judged.model) {
    nlohmann::ordered_json run;
    add_model(run, *judged.model, options.model);
    const SampleConfig& sampling = judged.model->config.sample;
    run["sampler"] = name_of(sampling.sampler);
    run["steps"] = sampling.steps;
    run["spacing"] = name_of(sampling.spacing);
    if (sampling.sampler == SamplerKind::ddim) run["eta"] = sampling.eta;
    run["guidance"] = sampling.guidance;
    run["classes"] = judged.classes;
    evaluation.add("run", run);
  } else {
    evaluation.add("samples", settings_of_samples(options.samples, *judged.samples));
  }
  if (reference.images) {
    evaluation.add("reference", settings_of(*reference.images));
  } else {
    const std::filesystem::path file = std::filesystem::weakly_canonical(options.reference);
    evaluation.add("reference", {{"moments", file.string()}});
  }
  evaluation.add("features", network.sha256());
}

std::filesystem::path folder_for(const Options& options, const Judged& judged) {
  if (!options.out.empty()) return options.out;
  return judged.model ? usual_folder(*judged.model) : std::filesystem::path("eval");
}

/// Adds the features of the judged images, which are drawn if there is a model.
void add_judged(const Options& options, const Judged& judged, Features& features) {
  if (!judged.model) {
    features.add_all(*judged.samples, options.generate.batch_size, "features of the samples");
    return;
  }
  GenerateOptions generate = options.generate;
  generate.classes = judged.classes;
  const SampleConfig& sampling = judged.model->config.sample;
  const std::string doubt = warning_of_start(judged.model->model.schedule(), sampling);
  if (!doubt.empty()) log_warning(doubt);
  Progress progress("sampling", generate.count * sampling.steps, "image steps");
  std::int64_t done = 0;
  cdm::generate(
      judged.model->model, sampling, generate,
      [&](const at::Tensor& images) { features.add(to_pixels(images)); },
      [&](std::int64_t, const SampleStep& step) {
        done += step.x.size(0);
        progress.update(done);
      });
}

/// What the table says about the images that are compared with the reference.
std::vector<Cell> sources_of(const Options& options, const std::optional<LoadedModel>& model,
                             const FeatureNetwork& network, const std::string& reference) {
  const std::string drawn =
      model ? concat(name_of(model->config.sample.sampler), " ", model->config.sample.steps,
                     " steps, guidance ", model->config.sample.guidance)
            : "";
  return {options.samples,
          model ? model->files.checkpoint.string() : checkpoint_of_samples(options.samples),
          model ? options.model.weights : "",
          drawn,
          static_cast<std::int64_t>(options.generate.seed),
          reference,
          network.dimensions(),
          network.sha256(),
          network.resize_text()};
}

/// What is measured against images of the reference; NaN where it has none.
struct ImageMeasures {
  KernelDistance kernel = {kNone, kNone, 0, 0};
  PrecisionRecall manifold = {kNone, kNone};
  UsualRange usual = {kNone, kNone};  // of the total variation of the reference's images
  double broken = kNone;              // share of the judged images
};

ImageMeasures compare_images(const Options& options, const Features& truth, const Features& fake) {
  const at::Tensor x = truth.kept();
  const at::Tensor y = fake.kept();
  const auto some = [&](const at::Tensor& all) {
    return all.index_select(0, spread_indices(all.size(0), options.manifold));
  };
  const UsualRange usual = usual_range(truth.total_variation());
  return {kid(x, y, options.subsets, options.subset_size, options.generate.seed),
          precision_recall(some(x), some(y), options.neighbours), usual,
          is_broken(fake.total_variation(), usual).to(at::kDouble).mean().item<double>()};
}

/// Writes a row per judged image, so that broken ones can be found.
void write_images(const at::Tensor& variation, const UsualRange& usual,
                  const std::filesystem::path& stem) {
  const at::Tensor broken = is_broken(variation, usual);
  Table table({"image", "total_variation", "broken"});
  for (std::int64_t i = 0; i < variation.size(0); ++i) {
    table.add({i, variation[i].item<double>(), broken[i].item<std::int64_t>()});
  }
  table.write_csv(stem.string() + "-images.csv");
}

void check_options(const Options& options) {
  if (options.model.path.empty() == options.samples.empty()) {
    throw UserError("give either RUN_OR_CHECKPOINT, to draw images from, or --samples FILE.npz");
  }
  const NamedFile saved = {"--save-reference", options.save_reference};
  require_suffix(saved, ".npz");
  require_distinct({saved}, {{"--samples", options.samples},
                             {"--reference", options.reference},
                             {"--features", options.features}});
  require_writable_file(options.save_reference);
}

void run(const Options& options, Evaluation& evaluation) {
  check_options(options);
  const Judged judged = load_judged(options);
  const std::optional<LoadedModel>& model = judged.model;
  const std::int64_t size = judged.image_size();
  const Reference reference = load_reference(options, model, size);
  const std::optional<Dataset>& real = reference.images;
  if (real) check_sizes(*real, size, model ? "the model's images" : options.samples);
  const at::Device device = resolve_device(model                          ? model->config.device
                                           : options.model.device.empty() ? "auto"
                                                                          : options.model.device);
  const FeatureNetwork network(options.features, device, size, parse_resize(options.feature_resize),
                               options.feature_resize_to);
  check_together(options, judged, reference, network);
  add_settings(evaluation, options, judged, reference, network);
  evaluation.take_folder(folder_for(options, judged));

  const std::int64_t count = model ? options.generate.count : judged.samples->size();
  const std::int64_t kept = real ? std::max(options.manifold, options.subset_size) : 0;
  const std::uint64_t seed = options.generate.seed;
  Features fake(network, random_numbers(seed, count, kept));
  Features truth(network, random_numbers(seed, real ? real->size() : 0, kept));
  add_judged(options, judged, fake);
  if (real) truth.add_all(*real, options.generate.batch_size, "features of the reference");

  const FeatureMoments of_fake =
      fake.moments(model ? model->files.checkpoint.string() : options.samples);
  const FeatureMoments of_real = real ? truth.moments(real->description) : *reference.moments;
  for (const FeatureMoments* const moments : {&of_fake, &of_real}) {
    if (const std::string warning = rank_warning(*moments); !warning.empty()) log_warning(warning);
  }
  if (!options.save_reference.empty()) write_moments(options.save_reference, of_real);

  const ImageMeasures measures = real ? compare_images(options, truth, fake) : ImageMeasures();
  const std::vector<Cell> sources =
      sources_of(options, model, network, real ? real->description : options.reference);
  Table table({"measure", "value", "deviation", "images", "reference_images", "subsets",
               "subset_size", "range_low", "range_high"},
              {"samples", "checkpoint", "weights", "sampler", "seed", "reference", "features",
               "network_sha256", "resize"});
  const auto add = [&](const std::string& measure, double value, double deviation = kNone,
                       const std::vector<Cell>& rest = {kNone, kNone, kNone, kNone}) {
    std::vector<Cell> row = {measure, value, deviation, of_fake.count, of_real.count};
    row.insert(row.end(), rest.begin(), rest.end());
    table.add(row, sources);
  };
  add(network.frechet_name(), frechet_distance(of_real, of_fake));
  const KernelDistance& kernel = measures.kernel;
  if (real) {
    add(network.kernel_name(), kernel.mean, kernel.deviation,
        {kernel.subsets, kernel.size, kNone, kNone});
  } else {
    add(network.kernel_name(), kNone);
  }
  add("precision", measures.manifold.precision);
  add("recall", measures.manifold.recall);
  add("broken", measures.broken, kNone, {kNone, kNone, measures.usual.low, measures.usual.high});
  if (real) write_images(fake.total_variation(), measures.usual, evaluation.stem());
  report(table, evaluation.stem());
  plot(evaluation.stem(), "fid",
       {concat("Samples beside the reference: ",
               model ? concat(model->files.checkpoint.filename().string(), ", ",
                              std::get<std::string>(sources[3]))
                     : options.samples)});
}

void declare(CLI::App& command, Options& options) {
  command.add_option(
      "RUN_OR_CHECKPOINT", options.model.path,
      "model to draw images from; its configuration says how (see --set sample.steps=...)");
  add_weights_options(command, options.model);
  command.add_option("--samples", options.samples,
                     "FILE.npz with images already drawn: arr_0 uint8 [N, H, W, C]");
  command
      .add_option("--features", options.features,
                  "TorchScript file of the feature network, such as inception-2015-12-05.pt; its "
                  "code is executed: use only files that you trust")
      ->required();
  command.add_option("--reference", options.reference,
                     "real images: a data set directory, or .npz with images or with the moments "
                     "mu and sigma of their features; default: the run's data");
  command.add_option("--split", options.split, "split of the reference: train or test")
      ->check(CLI::IsMember({"train", "test"}));
  command.add_option("--save-reference", options.save_reference,
                     "FILE.npz: write mu and sigma of the reference's features, for a later "
                     "--reference");
  command.add_option(
      "--out", options.out,
      "folder for results; default: eval/step-N in the run, or eval/ with --samples");
  options.generate.count = 10000;
  command.add_option("-n,--count", options.generate.count, "number of images to draw")
      ->check(CLI::Range(2, 100000000));
  add_class_option(command, options.classes);
  command
      .add_option("--seed", options.generate.seed,
                  "seed of the drawn images, and of the random choice of images")
      ->check(seed_range());
  command.add_option("--batch", options.generate.batch_size, "images computed at a time")
      ->check(CLI::Range(1, 1000000));
  command
      .add_option("--feature-resize", options.feature_resize,
                  "how images are resized before the network: bilinear, bicubic_antialias, or "
                  "network (not at all: the network does it itself)")
      ->check(CLI::IsMember({"network", "bilinear", "bicubic_antialias"}));
  command
      .add_option("--feature-resize-to", options.feature_resize_to,
                  "with --feature-resize bilinear or bicubic_antialias: width and height in pixels")
      ->check(CLI::Range(1, 4096));
  command.add_option("--subsets", options.subsets, "number of subsets for the kernel distance")
      ->check(CLI::Range(1, 100000));
  command
      .add_option("--subset-size", options.subset_size,
                  "images in each subset; fewer if either side has fewer")
      ->check(CLI::Range(2, 1000000));
  command.add_option("--neighbours", options.neighbours, "k of precision and recall")
      ->check(CLI::Range(1, 1000));
  command
      .add_option("--manifold", options.manifold,
                  "largest number of images of each side, chosen at random, for precision and "
                  "recall")
      ->check(CLI::Range(2, 1000000));
  // Options about drawing images cannot be given with images already drawn.
  for (const char* const drawing : {"--count", "--class", "--weights", "--set", "--precision"}) {
    command.get_option("--samples")->excludes(command.get_option(drawing));
  }
}

}  // namespace

void add_fid(CLI::App& app, Chosen& chosen) {
  add_command<Options>(
      app, chosen,
      {"fid",
       "Frechet distance, kernel distance, precision and recall between drawn and real images, in "
       "the features of a TorchScript network, and the share of broken images. Only with the "
       "Inception network of 2015 are the distances called FID and KID.",
       "runs/first -n 10000 --features inception-2015-12-05.pt"},
      declare, run);
}

}  // namespace cdm::eval
