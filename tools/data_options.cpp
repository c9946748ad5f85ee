// SPDX-License-Identifier: MIT
#include "data_options.h"

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
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
}

Dataset load_chosen_dataset(const DataOptions& options, const RunConfig& config) {
  DataConfig data = config.data;
  if (!options.data.empty()) {
    data = detect_dataset(options.data);
    data.image_size = config.data.image_size;
    data.channels = config.data.channels;
  }
  return spread_subset(load_dataset(data, parse_split(options.split)), options.limit);
}

DataConfig detect_dataset_of_size(const std::string& path, std::int64_t image_size) {
  DataConfig data = detect_dataset(path);
  if (data.kind == DataKind::image_folder || data.kind == DataKind::image_archive ||
      data.kind == DataKind::celeba) {
    data.image_size = image_size;
  }
  return data;
}

at::Tensor labels_for(const Network& network, const Dataset& dataset) {
  if (!network.is_conditional()) return {};
  if (!dataset.labels.defined()) {
    log_warning(concat(dataset.description, " has no labels: scored as the null class"));
    return {};
  }
  const auto largest = dataset.labels.max().item<std::int64_t>();
  if (largest >= network.num_classes()) {
    throw UserError(concat(dataset.description, ": has label ", largest, "; the model knows 0..",
                           network.num_classes() - 1));
  }
  return dataset.labels;
}

}  // namespace cdm
