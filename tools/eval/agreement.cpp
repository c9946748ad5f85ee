// SPDX-License-Identifier: MIT
// cdm-eval agreement: how often an image drawn for a class looks like one of that class. The judge
// is independent of the model: a nearest-neighbour classifier on the pixels of training images.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "cdm/data/classes.h"
#include "cdm/data/subset.h"
#include "cdm/eval/neighbours.h"
#include "cdm/eval/plot.h"
#include "command.h"

namespace cdm::eval {
namespace {

struct Options {
  std::vector<std::string> samples;
  std::string data, out = "eval";
  std::int64_t neighbours = 5, judged = 1000;
};

Dataset labelled(const DataConfig& config, Split split) {
  Dataset dataset = load_dataset(config, split);
  if (!dataset.labels.defined()) {
    throw UserError(concat(dataset.description, ": has no labels to compare with"));
  }
  return dataset;
}

at::Tensor rows(const Dataset& dataset) {
  return to_unit_range(dataset.images, at::kFloat).flatten(1);
}

/// The class names of the model that drew `samples`, from the file FILE.npz.json that cdm-sample
/// writes; empty when the model has none, or without that file.
std::vector<std::string> class_names_of(const std::string& samples) {
  const nlohmann::ordered_json settings = settings_of_samples(samples);
  if (!settings.is_object() || !settings.contains("class_names")) return {};
  try {
    return settings["class_names"].get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception&) {
    throw UserError(concat(samples, ".json: class_names are not a list of names"));
  }
}

/// The class names of all samples. Throws UserError when two files have different ones.
std::vector<std::string> common_class_names(const std::vector<std::string>& files) {
  std::vector<std::string> names = class_names_of(files.front());
  for (std::size_t i = 1; i < files.size(); ++i) {
    if (class_names_of(files[i]) != names) {
      throw UserError(concat(files[i], ": its classes are not those of ", files.front()));
    }
  }
  return names;
}

/// The kind of the data that the model was trained on which drew `samples`, if that is known.
std::optional<DataKind> data_kind_of(const std::string& samples) {
  const nlohmann::ordered_json settings = settings_of_samples(samples);
  const auto kind = settings.is_object() ? settings.find("data_kind") : settings.end();
  if (kind == settings.end() || !kind->is_string()) return std::nullopt;
  return kind_named<DataKind>(kind->get<std::string>());
}

/// Throws UserError when the judge knows no image of a class of which there are samples.
void require_classes_of(const Dataset& samples, const std::string& name, const Dataset& known) {
  const std::vector<std::int64_t> missing =
      classes_without_images(known, samples.labels.max().item<std::int64_t>() + 1);
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    const std::int64_t number = samples.labels.const_data_ptr<std::int64_t>()[i];
    if (std::find(missing.begin(), missing.end(), number) == missing.end()) continue;
    const bool has_name = number < std::ssize(known.class_names);
    throw UserError(
        concat(name, ": has images of class ", number,
               has_name ? " " + in_quotes(known.class_names[static_cast<std::size_t>(number)]) : "",
               ", of which ", known.description, " has none"));
  }
}

/// Real images: those that the judge knows, and others that show how often the judge is right.
struct Real {
  Dataset known, unknown;
  std::string name;               // of `unknown`
  nlohmann::ordered_json splits;  // settings_of() all images of each split
};

/// The train and test splits. When both are the same images, some of them, evenly spread, are held
/// out to be `unknown`. `judged` is the number of unknown images.
Real real_images(const DataConfig& config, std::int64_t judged,
                 const std::vector<std::string>& class_names) {
  const Dataset train = with_classes(labelled(config, Split::train), class_names);
  const Dataset test = with_classes(labelled(config, Split::test), class_names);
  const nlohmann::ordered_json splits = {{"train", settings_of(train)},
                                         {"test", settings_of(test)}};
  if (!at::equal(train.images, test.images)) {
    return {train, spread_subset(test, judged), "real test images", splits};
  }
  constexpr std::int64_t kShare = 5;  // at most one image in five is held out
  const std::int64_t held_out = std::min(judged, train.size() / kShare);
  if (held_out == 0) {
    throw UserError(concat(train.description, ": has no test split, and its ", train.size(),
                           " images are too few to hold some out"));
  }
  const at::Tensor numbers = spread_indices(train.size(), held_out);
  const at::Tensor others =
      at::ones({train.size()}, at::kBool).index_fill_(0, numbers, false).nonzero().squeeze(1);
  return {subset(train, others), subset(train, numbers), "real images held out", splits};
}

void run(const Options& options, Evaluation& evaluation) {
  std::vector<Dataset> samples;
  nlohmann::ordered_json settings = nlohmann::ordered_json::array();
  for (const std::string& file : options.samples) {
    DataConfig config = RunConfig().data;
    config.kind = DataKind::npz;
    config.path = file;
    samples.push_back(labelled(config, Split::train));
    settings.push_back(settings_of_samples(file, samples.back()));
  }
  const auto [train, unknown, name_of_unknown, splits] =
      real_images(detect_dataset_of_size(options.data, samples.front().image_size(),
                                         data_kind_of(options.samples.front())),
                  options.judged, common_class_names(options.samples));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    require_classes_of(samples[i], options.samples[i], train);
  }
  evaluation.add("samples", settings);
  evaluation.add("data", splits);
  evaluation.take_folder(options.out);
  for (const std::string& file : options.samples) {
    if (!class_names_of(file).empty() || train.class_names.empty()) continue;
    log_warning(concat(file, ".json: names no classes, so the classes of ", file,
                       " are compared by their numbers, not by their names"));
  }
  if (!train.conversion.empty()) log_warning(concat(train.description, ": ", train.conversion));
  const at::Tensor known = rows(train);
  const std::int64_t k = std::min(options.neighbours, train.size());
  Table table({"images", "count", "share_agreeing", "standard_error"}, {"checkpoint", "data"});
  const auto judge = [&, &train = train](const std::string& name, const Dataset& dataset,
                                         const std::string& checkpoint, const std::string& data) {
    if (dataset.image_size() != train.image_size() || dataset.channels() != train.channels()) {
      throw UserError(concat(name, ": its images are ", dataset.channels(), " x ",
                             dataset.image_size(), " x ", dataset.image_size(), ", those of ",
                             train.description, " ", train.channels(), " x ", train.image_size(),
                             " x ", train.image_size()));
    }
    const at::Tensor right =
        nearest_class(rows(dataset), known, train.labels, k).eq(dataset.labels).to(at::kDouble);
    const double share = right.mean().item<double>();
    const auto count = static_cast<double>(dataset.size());
    table.add({name, dataset.size(), share, std::sqrt(share * (1.0 - share) / count)},
              {checkpoint, data});
  };
  for (std::size_t i = 0; i < samples.size(); ++i) {
    judge(options.samples[i], samples[i], checkpoint_of_samples(options.samples[i]),
          train.description);
  }
  judge(name_of_unknown, unknown, "", unknown.description);  // how often the judge is right
  report(table, evaluation.stem());
  plot(evaluation.stem(), "agreement", {std::to_string(table.rows().size())});
}

}  // namespace

void add_agreement(CLI::App& app, Chosen& chosen) {
  add_command<Options>(
      app, chosen,
      {"agreement",
       "How often images drawn for a class look like that class, judged by their nearest training "
       "images.",
       "samples.npz --data /path/to/fashion-mnist --out results"},
      [](CLI::App& command, Options& options) {
        command
            .add_option("SAMPLES", options.samples,
                        "FILE.npz written by cdm-sample --class ...: images arr_0 and their "
                        "classes arr_1")
            ->required();
        command
            .add_option("--data", options.data, "directory of the data set that has the classes")
            ->required();
        command.add_option("--out", options.out, "folder for results");
        command
            .add_option("--neighbours", options.neighbours,
                        "number of nearest training images that decide by a majority")
            ->check(CLI::Range(1, 1000));
        command
            .add_option(
                "--judged", options.judged,
                "number of real test images that show how often the judge is right, spread evenly "
                "over the test split; a data set without one: images held out, at most a fifth")
            ->check(CLI::Range(1, 10000000));
      },
      run);
}

}  // namespace cdm::eval
