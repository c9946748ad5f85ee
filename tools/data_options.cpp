// SPDX-License-Identifier: MIT
#include "data_options.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eq.h>

#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/data/classes.h"
#include "cdm/data/subset.h"

namespace cdm {

void add_data_options(CLI::App& app, DataOptions& options) {
  app.add_option(
      "--data", options.data,
      "data set: a directory, an archive of pictures (.zip, .tar), or .npz with arr_0 uint8 "
      "[N, H, W, C]; default: the run's");
  app.add_option("--split", options.split, "split of the data set: train or test")
      ->check(CLI::IsMember({"train", "test"}));
  app.add_option("--limit", options.limit,
                 "number of images to use, spread evenly over the data set; 0 = all")
      ->check(CLI::Range(0, 1 << 30));
  app.add_flag("--resize", options.resize,
               "resize pictures of another size, and convert pictures of another colour, to the "
               "model's; without it they are an error, because densities of resized pictures are "
               "not those of the originals");
}

Dataset load_chosen_dataset(const DataOptions& options, const LoadedModel& loaded) {
  const RunConfig& config = loaded.config;
  DataConfig data = config.data;
  bool is_other = false;  // whether the data are not the run's own
  for (const char* const key : {"data.kind", "data.path", "data.test_path"}) {
    is_other = is_other || loaded.changed.contains(key);
  }
  if (!options.data.empty()) {
    if (is_other) {
      throw UserError(concat("--data ", options.data,
                             ": cannot be given with --set of data.kind, data.path or "
                             "data.test_path, which it replaces"));
    }
    is_other = true;
    data = detect_dataset(options.data, config.data.kind);
    data.image_size = config.data.image_size;
    data.channels = config.data.channels;
    data.skip_unreadable = config.data.skip_unreadable;
  }
  Dataset dataset =
      with_classes(load_dataset(data, parse_split(options.split)), config.model.class_names);
  // CelebA's pictures are always cut in the same way, for training too.
  const bool is_as_trained = data.kind == DataKind::celeba && config.data.kind == data.kind;
  if (!dataset.conversion.empty() && !is_as_trained) {
    if (is_other && !options.resize) {
      throw UserError(
          concat(dataset.description, ": its pictures are not ", data.channels, " x ",
                 data.image_size, " x ", data.image_size,
                 ", as the model's are; with --resize they would be: ", dataset.conversion));
    }
    log_info(concat(dataset.description, ": ", dataset.conversion));
  }
  return spread_subset(std::move(dataset), options.limit);
}

DataConfig detect_dataset_of_size(const std::string& path, std::int64_t image_size,
                                  std::optional<DataKind> known) {
  DataConfig data = detect_dataset(path, known);
  if (data.kind == DataKind::image_folder || data.kind == DataKind::image_archive ||
      data.kind == DataKind::celeba) {
    data.image_size = image_size;
  }
  return data;
}

at::Tensor labels_for(const LoadedModel& loaded, const Dataset& dataset) {
  const std::int64_t classes = loaded.config.model.num_classes;
  if (classes == 0) return {};
  if (!dataset.labels.defined()) {
    if (loaded.config.loss.label_dropout == 0.0) {
      throw UserError(concat(dataset.description,
                             ": has no labels, and the model needs them: it was trained with "
                             "loss.label_dropout = 0, so that its null class was never trained"));
    }
    log_warning(concat(dataset.description, " has no labels: scored as the null class"));
    return {};
  }
  const auto largest = dataset.labels.max().item<std::int64_t>();
  if (largest >= classes) {
    throw UserError(
        concat(dataset.description, ": has label ", largest, "; the model knows 0..", classes - 1));
  }
  const std::vector<std::int64_t>& untrained = loaded.config.model.untrained_classes;
  for (const std::int64_t number : untrained) {
    if (!dataset.labels.eq(number).any().item<bool>()) continue;
    log_warning(concat(dataset.description, ": has images of class ", number,
                       ", of which the model has seen none in training"));
  }
  return dataset.labels;
}

}  // namespace cdm
