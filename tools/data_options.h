// SPDX-License-Identifier: MIT
// The options of programs that evaluate a trained model on a data set.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "cdm/data/dataset.h"
#include "cdm/run/load_model.h"

namespace cdm {

struct DataOptions {
  std::string data;  // as detect_dataset() takes it; "" = the run's data set
  std::string split = "test";
  std::int64_t limit = 0;  // number of images, spread evenly over the data set; 0 = all
  bool resize = false;     // whether pictures of another size or colour may be made to fit
};

/// Adds --data, --split, --limit and --resize, which fill `options` in.
void add_data_options(CLI::App& app, DataOptions& options);

/// Loads the images that the options choose, in the image size and channels of the model, and with
/// labels that number the classes as the model does (with_classes()). Throws UserError as
/// load_dataset() and with_classes() do. Pictures other than the run's own data that do not have
/// the model's size and channels are an error too, unless options.resize is set; then a log line
/// says how they were changed.
Dataset load_chosen_dataset(const DataOptions& options, const LoadedModel& loaded);

/// The data set that detect_dataset() finds in `path`. The images of an image folder, of an archive
/// of pictures and of CelebA are to be resized to image_size x image_size pixels.
DataConfig detect_dataset_of_size(const std::string& path, std::int64_t image_size,
                                  std::optional<DataKind> known = std::nullopt);

/// The labels with which to evaluate a model on `dataset`, int64 [N]. They are undefined for an
/// unconditional model, and, with a warning, for a data set without labels: these are evaluated as
/// the null class. Throws UserError for labels out of the model's range, and for a null class that
/// was never trained (loss.label_dropout = 0).
at::Tensor labels_for(const LoadedModel& loaded, const Dataset& dataset);

}  // namespace cdm
