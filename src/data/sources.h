// SPDX-License-Identifier: MIT
// The kinds of data set, each read by a file of its own. All of these throw UserError naming the
// file, and leave what every kind shares (sizes, channels, description) to load_dataset.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "cdm/data/dataset.h"

namespace cdm {

/// MNIST's own layout: train-images-idx3-ubyte and train-labels-idx1-ubyte, or t10k-..., each as it
/// is or with .gz. Labels must be below 10.
Dataset read_idx_folder(const std::filesystem::path& folder, Split split);

/// Throws unless there is one label for each of `images` images, and all are in 0..classes-1.
void check_labels(const std::string& file, const at::Tensor& labels, std::int64_t images,
                  std::int64_t classes);

}  // namespace cdm
