// SPDX-License-Identifier: MIT
// The readers of the kinds of data set, one source file each. All throw UserError, naming the file.
// load_dataset() checks sizes and channels and adds the description, which all kinds share.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "cdm/data/dataset.h"

namespace cdm {

/// The path of the key data.path or data.test_path. Throws UserError, naming the key and the place
/// where it was written, when nothing is there.
std::filesystem::path existing_path(const DataConfig& config, const std::string& key);

/// MNIST's files: train-images-idx3-ubyte and train-labels-idx1-ubyte, or t10k-... for the test
/// split; each may be compressed with the ending .gz. Labels must be below 10.
Dataset read_idx_folder(const std::filesystem::path& folder, Split split);

/// Reads an IDX file of uint8 numbers, plain or gzip, which must have that many dimensions.
at::Tensor read_idx(const std::filesystem::path& file, std::size_t dimensions);

/// Whether the folder has MNIST's file of training or test images.
bool is_idx_folder(const std::filesystem::path& folder);

/// CIFAR-10's binary version: data_batch_1.bin to data_batch_5.bin, or test_batch.bin, in `path` or
/// in its sub-folder cifar-10-batches-bin.
Dataset read_cifar10(const std::filesystem::path& path, Split split);

/// The folder with CIFAR-10's files: `path`, or that sub-folder. Empty when neither has them.
std::filesystem::path find_cifar10(const std::filesystem::path& path);

/// An .npz file with the images arr_0, uint8 [N, H, W, C]. Labels are arr_1, integers [N], if it
/// has that array.
Dataset read_npz_images(const std::filesystem::path& file);

/// Pictures in `base` and its class folders, in natural order within each. If config.image_size is
/// not 0, they are resized and cut to that size. If `base` has no folders of splits and
/// config.test_path is empty, held_out() divides its pictures.
Dataset read_image_folder(const DataConfig& config, const std::filesystem::path& base, Split split);

/// CelebA: the folder img_align_celeba and the file list_eval_partition.txt (or .csv). The square
/// of 128 pixels around each face is resized to config.image_size (0 = 64). Train is partition 0,
/// test is partition 2.
Dataset read_celeba(const DataConfig& config, const std::filesystem::path& folder, Split split);

/// Whether the folder has both of these.
bool is_celeba(const std::filesystem::path& folder);

/// Draws of data.toy; float32 images.
Dataset read_toy(const DataConfig& config, Split split);

/// Throws unless there is one label (int64) for each of `images` images and all labels are in
/// 0 .. classes-1.
void check_labels(const std::string& file, const at::Tensor& labels, std::int64_t images,
                  std::int64_t classes);

}  // namespace cdm
