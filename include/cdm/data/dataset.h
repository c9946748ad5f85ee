// SPDX-License-Identifier: MIT
// Image data sets in memory, as uint8 pixels. Images of data.kind = toy have no pixels: they are
// float32 values in the model's scale.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cdm/config/config.h"

namespace cdm {

struct Dataset {
  std::string description;  // of describe_dataset()
  at::Tensor images;        // [N, C, H, W], uint8 or float32, C = 1 or 3, on the CPU, contiguous
  at::Tensor labels;        // int64 [N], classes from 0, on the CPU; undefined if there are none
  std::vector<std::string> class_names;  // empty if the data set does not name its classes
  // One per image, relative to the folder of the split and with '/' between folders; empty if the
  // images are no files of their own.
  std::vector<std::string> file_names;
  // What was done to pictures to fit config.image_size and config.channels, for messages: "resized
  // 8 of 8 pictures, the first from 16 x 16; converted 8 colour pictures to grey". Empty if nothing
  // was.
  std::string conversion;

  std::int64_t size() const { return images.size(0); }
  std::int64_t channels() const { return images.size(1); }
  std::int64_t image_size() const { return images.size(2); }
  /// Whether the images are 8-bit pixels, so that a density can be converted to bits per dimension
  /// of 8-bit values.
  bool has_pixels() const { return images.scalar_type() == at::kByte; }
};

enum class Split { train, test };

/// The split named "train" or "test". Throws UserError for another name.
Split parse_split(const std::string& name);

/// Loads one split of the data set that `config` describes. Throws UserError, naming the file or
/// key, when data is missing, cut short or of another kind, when images are not square or have
/// neither 1 nor 3 channels, or when they contradict config.image_size or config.channels
/// (0 = any).
Dataset load_dataset(const DataConfig& config, Split split);

/// Kind, split and path in words: "npz test split in /data/test.npz". The path is absolute, with
/// links followed, so that two data sets have one text only when they are in one place. Throws
/// UserError when nothing is there.
std::string describe_dataset(const DataConfig& config, Split split);

/// Recognises a data set by its files. `path` is a file or a folder: an .npz file, an archive of
/// pictures by its name, or what stands for several archives or one part of EMNIST
/// (docs/datasets.md); a folder with the files of MNIST, Fashion-MNIST, EMNIST, CIFAR-10, CIFAR-100
/// or CelebA, or with archives; any other folder is an image folder. In the result, `path` serves
/// for both splits. Throws UserError when `path` does not exist or is another kind of file.
/// The files of MNIST and Fashion-MNIST have the same names. `known`, the kind of the data that a
/// model was trained on, decides between these two; without it, the word "fashion" in the path
/// does.
DataConfig detect_dataset(const std::filesystem::path& path,
                          std::optional<DataKind> known = std::nullopt);

}  // namespace cdm
