// SPDX-License-Identifier: MIT
// The options of programs that evaluate a trained model on a data set.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "cdm/data/dataset.h"
#include "cdm/model/network.h"

namespace cdm {

struct DataOptions {
  std::string data;  // as detect_dataset() takes it; "" = the run's data set
  std::string split = "test";
  std::int64_t limit = 0;  // number of images, spread evenly over the data set; 0 = all
};

/// Adds --data, --split and --limit, which fill `options` in.
void add_data_options(CLI::App& app, DataOptions& options);

/// Loads the images that the options choose, in the image size and channels of the model that
/// `config` describes. Throws UserError as load_dataset() does.
Dataset load_chosen_dataset(const DataOptions& options, const RunConfig& config);

/// The data set that detect_dataset() finds in `path`. The images of an image folder, of an archive
/// of pictures and of CelebA are to be resized to image_size x image_size pixels.
DataConfig detect_dataset_of_size(const std::string& path, std::int64_t image_size);

/// The labels with which to evaluate a network on `dataset`, int64 [N]. They are undefined for an
/// unconditional network, and, with a warning, for a data set without labels. Throws UserError for
/// labels out of the network's range.
at::Tensor labels_for(const Network& network, const Dataset& dataset);

}  // namespace cdm
