// SPDX-License-Identifier: MIT
// Image data sets, held in memory as uint8 pixels, or, where there are none (data.kind = toy), as
// float32 values in the model's own scale.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cdm/config/config.h"

namespace cdm {

struct Dataset {
  std::string description;  // for messages: kind, split and path
  at::Tensor images;        // uint8 (or float32) [N, C, H, W], C 1 or 3, CPU, contiguous
  at::Tensor labels;        // int64 [N] in 0..class_count-1, CPU; undefined without labels
  std::vector<std::string> class_names;  // empty when the source has no names

  std::int64_t size() const { return images.size(0); }
  std::int64_t channels() const { return images.size(1); }
  std::int64_t image_size() const { return images.size(2); }
  /// Whether the images are 8-bit pixels, so that densities can be told per 8-bit step.
  bool has_pixels() const { return images.scalar_type() == at::kByte; }
};

enum class Split { train, test };

/// "train" or "test"; throws UserError otherwise.
Split parse_split(const std::string& name);

/// Loads one split as `config` says. Throws UserError naming the file for data that is missing,
/// truncated, of the wrong kind or size, not square, neither grey nor RGB, or that disagrees with
/// config.image_size or config.channels where these are not 0.
Dataset load_dataset(const DataConfig& config, Split split);

/// Tells a data set by what is there: an .npz file, a folder of IDX files (Fashion-MNIST layout),
/// of CIFAR-10 batches, CelebA's, or else an image folder. Throws UserError when `path` does not
/// exist.
DataConfig detect_dataset(const std::filesystem::path& path);

}  // namespace cdm
