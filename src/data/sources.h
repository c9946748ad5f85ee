// SPDX-License-Identifier: MIT
// The kinds of data set, each read by a file of its own. All of these throw UserError naming the
// file, and leave what every kind shares (sizes, channels, description) to load_dataset.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "cdm/data/dataset.h"

namespace cdm {

/// MNIST's own layout: train-images-idx3-ubyte and train-labels-idx1-ubyte, or t10k-..., each as it
/// is or with .gz. Labels must be below 10.
Dataset read_idx_folder(const std::filesystem::path& folder, Split split);

/// One IDX file of uint8 numbers, plain or gzip, as a uint8 tensor of that many dimensions.
at::Tensor read_idx(const std::filesystem::path& file, std::size_t dimensions);

/// Whether the folder has an images file of either split, under such a name.
bool is_idx_folder(const std::filesystem::path& folder);

/// CIFAR-10's binary version: data_batch_1.bin to data_batch_5.bin, or test_batch.bin, in `path` or
/// in its sub-folder cifar-10-batches-bin.
Dataset read_cifar10(const std::filesystem::path& path, Split split);

/// The folder of the two that read_cifar10 reads; empty when neither holds CIFAR-10's files.
std::filesystem::path find_cifar10(const std::filesystem::path& path);

/// An .npz file with arr_0 uint8 [N, H, W, C] and, if it has labels, arr_1 integers [N].
Dataset read_npz_images(const std::filesystem::path& file);

/// PNG and JPEG pictures below `base`, resized and cut to config.image_size when that is not 0.
Dataset read_image_folder(const DataConfig& config, const std::filesystem::path& base, Split split);

/// CelebA's folder img_align_celeba and list_eval_partition.txt (or .csv): the 128-pixel square of
/// each face, resized to config.image_size (0 = 64). Train is partition 0, test partition 2.
Dataset read_celeba(const DataConfig& config, const std::filesystem::path& folder, Split split);

/// Whether the folder has these two.
bool is_celeba(const std::filesystem::path& folder);

/// Draws of data.toy; float32 images.
Dataset read_toy(const DataConfig& config, Split split);

/// Throws unless there is one label for each of `images` images, and all are in 0..classes-1.
void check_labels(const std::string& file, const at::Tensor& labels, std::int64_t images,
                  std::int64_t classes);

}  // namespace cdm
