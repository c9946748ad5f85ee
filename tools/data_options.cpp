// SPDX-License-Identifier: MIT
#include "data_options.h"

#include "cdm/error.h"
#include "cdm/log.h"
#include "cdm/text.h"

namespace cdm {

void add_data_options(CLI::App& app, DataOptions& options) {
  app.add_option("--data", options.data,
                 "data set directory, or .npz with arr_0 uint8 [N, H, W, C]; default: the run's");
  app.add_option("--split", options.split, "train or test")
      ->check(CLI::IsMember({"train", "test"}));
  app.add_option("--limit", options.limit, "look at the first images only; 0 = all")
      ->check(CLI::Range(0, 1 << 30));
}

Dataset load_chosen_dataset(const DataOptions& options, const RunConfig& config) {
  DataConfig data = config.data;
  if (!options.data.empty()) {
    data = detect_dataset(options.data);
    data.image_size = config.data.image_size;
    data.channels = config.data.channels;
  }
  Dataset dataset = load_dataset(data, parse_split(options.split));
  if (options.limit > 0 && options.limit < dataset.size()) {
    dataset.images = dataset.images.narrow(0, 0, options.limit);
    if (dataset.labels.defined()) dataset.labels = dataset.labels.narrow(0, 0, options.limit);
  }
  return dataset;
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
