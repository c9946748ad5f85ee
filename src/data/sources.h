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

/// MNIST's or Fashion-MNIST's IDX files of a split (prefix train or t10k) in `path`, or where
/// torchvision puts them below it. Labels must be below 10; there are none without their file.
Dataset read_mnist(const std::filesystem::path& path, Split split);

/// The folder with MNIST's files of training or test images: `path` or one below it. Empty when
/// there is none.
std::filesystem::path find_mnist(const std::filesystem::path& path);

/// EMNIST's IDX files. `path` is a folder with one part of EMNIST, or FOLDER/emnist-PART. Images
/// stand upright, and classes are numbered from 0, in parts whose files begin at 1 too.
Dataset read_emnist(const std::filesystem::path& path, Split split);

/// Whether `path` is such a folder or beginning of names.
bool is_emnist(const std::filesystem::path& path);

/// Reads an IDX file of uint8 numbers, plain or gzip, which must have that many dimensions.
at::Tensor read_idx(const std::filesystem::path& file, std::size_t dimensions);

enum class IdxContents { images, labels };

/// The file PREFIX-images-idx3-ubyte (or PREFIX-labels-idx1-ubyte) in `folder`, where a dot may
/// stand for the last but one hyphen, and .gz at the end. Empty when there is none.
std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& prefix,
                               IdxContents contents);

/// The images and labels with that prefix. The labels are undefined when they have no file, and are
/// not checked.
Dataset read_idx_pair(const std::filesystem::path& folder, const std::string& prefix);

/// CIFAR-10 or CIFAR-100 (fine labels) in `path`, or in the sub-folder that its archive makes: the
/// binary version or the Python version.
Dataset read_cifar10(const std::filesystem::path& path, Split split);
Dataset read_cifar100(const std::filesystem::path& path, Split split);

/// Whether their files are there.
bool is_cifar10(const std::filesystem::path& path);
bool is_cifar100(const std::filesystem::path& path);

/// An .npz file with the images arr_0, uint8 [N, H, W, C]. Labels are arr_1, integers [N], if it
/// has that array.
Dataset read_npz_images(const std::filesystem::path& file);

/// Pictures in `base` and its class folders, in natural order within each. If config.image_size is
/// not 0, they are resized and cut to that size. If `base` has no folders of splits and
/// config.test_path is empty, held_out() divides its pictures.
Dataset read_image_folder(const DataConfig& config, const std::filesystem::path& base, Split split);

/// Pictures in archives (zip or tar) with labels in dataset.json or .cls files. `path` is one
/// archive, a folder of archives, or a name with a range of numbers: shard-{000..009}.tar.
Dataset read_image_archive(const DataConfig& config, const std::filesystem::path& path);

/// Whether `path` is a file, pattern or folder of archives by its name and the names in it.
bool is_image_archive(const std::filesystem::path& path);

/// CelebA: the pictures of img_align_celeba and the list list_eval_partition.txt (or .csv), laid
/// out as the official folders or the usual copies of them are. The square of 128 pixels around
/// each face is resized to config.image_size (0 = 64). Train is partition 0, test is partition 2.
Dataset read_celeba(const DataConfig& config, const std::filesystem::path& folder, Split split);

/// Whether the folder has both of these.
bool is_celeba(const std::filesystem::path& folder);

/// Draws of data.toy; float32 images.
Dataset read_toy(const DataConfig& config, Split split);

/// Throws unless there is one label (int64) for each of `images` images and all labels are in
/// first .. first + classes - 1.
void check_labels(const std::string& file, const at::Tensor& labels, std::int64_t images,
                  std::int64_t classes, std::int64_t first = 0);

/// Whether there is an entry of that name, which may be a link that leads nowhere.
bool is_there(const std::filesystem::path& path);

/// Throws unless `file` is a plain file or a link to one, and when it is a Git LFS pointer or a web
/// page in the place of the data.
void check_data_file(const std::filesystem::path& file);

}  // namespace cdm
