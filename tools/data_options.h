// SPDX-License-Identifier: MIT
// The options of every program that looks at a data set with a trained model.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "cdm/data/dataset.h"
#include "cdm/model/network.h"

namespace cdm {

struct DataOptions {
  std::string data;  // directory or .npz; "" = the run's
  std::string split = "test";
  std::int64_t limit = 0;  // images, spread over the data set; 0 = all
};

/// Adds --data, --split and --limit, which fill `options` in.
void add_data_options(CLI::App& app, DataOptions& options);

/// What the options name, for a model trained by `config`: of its image size and channels. Throws
/// UserError as load_dataset does.
Dataset load_chosen_dataset(const DataOptions& options, const RunConfig& config);

/// detect_dataset; pictures of a folder are resized to `image_size` pixels a side, as those of a
/// run are.
DataConfig detect_dataset_of_size(const std::string& path, std::int64_t image_size);

/// The labels to ask a conditional model with; undefined for any other, and, with a warning, where
/// the data has none. Throws UserError for labels that the model does not know.
at::Tensor labels_for(const Network& network, const Dataset& dataset);

}  // namespace cdm
