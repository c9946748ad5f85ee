// SPDX-License-Identifier: MIT
#include "cdm/data/dataset.h"

#include <ATen/TensorOperators.h>

#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "data/sources.h"

namespace cdm {
namespace {

// The folder of Debian's package dataset-fashion-mnist.
constexpr const char* kFashionMnist = "/usr/share/datasets/fashion-mnist";

const std::vector<std::string>& fashion_names() {
  static const std::vector<std::string> names = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                                 "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                                 "Bag",         "Ankle boot"};
  return names;
}

const std::vector<std::string>& digit_names() {
  static const std::vector<std::string> names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  return names;
}

/// The key with its value, after the place where it was written: "a.yaml:3: data.path = /x".
std::string written_at(const DataConfig& config, const std::string& key, const std::string& value) {
  const auto place = config.places.find(key);
  return concat(place == config.places.end() ? "" : place->second + ": ", key, " = ", value);
}

std::string name_of(Split split) { return split == Split::train ? "train" : "test"; }

/// Whether a path may be no file or folder itself, but stand for several: the beginning of names,
/// or a range of numbers.
bool may_be_pattern(DataKind kind, const std::string& path) {
  return kind == DataKind::emnist ||
         (kind == DataKind::image_archive && path.find('{') != std::string::npos);
}

/// The file or folder that holds the split.
std::filesystem::path path_of(const DataConfig& config, Split split) {
  const bool has_own = split == Split::test && !config.test_path.empty();
  const std::string& path = has_own ? config.test_path : config.path;
  if (may_be_pattern(config.kind, path) && !path.empty()) return path;
  if (!path.empty()) return existing_path(config, has_own ? "data.test_path" : "data.path");
  if (config.kind == DataKind::fashion_mnist) {
    if (std::filesystem::is_directory(kFashionMnist)) return kFashionMnist;
    throw UserError(concat("data.path is empty and ", kFashionMnist,
                           " is not there: install the package dataset-fashion-mnist, or set "
                           "data.path to a folder with its IDX files"));
  }
  throw UserError(concat(written_at(config, "data.kind", name_of(config.kind)),
                         ": needs a path, and data.path is empty"));
}

void check_images(const Dataset& dataset, const DataConfig& config, const std::string& path) {
  const at::Tensor& images = dataset.images;
  if (images.size(0) == 0) throw UserError(concat(path, ": holds no images"));
  if (images.size(2) != images.size(3) || images.size(2) == 0) {
    throw UserError(concat(path, ": images are ", images.size(2), " x ", images.size(3),
                           " (height x width); they must be square"));
  }
  if (dataset.channels() != 1 && dataset.channels() != 3) {
    throw UserError(concat(path, ": images have ", dataset.channels(),
                           " channels; 1 (grey) or 3 (RGB) are read"));
  }
  if (config.image_size != 0 && config.image_size != dataset.image_size()) {
    throw UserError(concat("data.image_size = ", config.image_size, ": the images in ", path,
                           " are ", dataset.image_size(), " pixels a side; give that or 0"));
  }
  if (config.channels != 0 && config.channels != dataset.channels()) {
    throw UserError(concat("data.channels = ", config.channels, ": the images in ", path, " have ",
                           dataset.channels(), "; give that or 0"));
  }
}

/// For what the file system refuses where a reader only looks: a folder without permission, a loop
/// of links.
UserError cannot_look_at(const std::filesystem::filesystem_error& error) {
  return UserError(concat(error.path1().string(), ": cannot be read: ", error.code().message()));
}

/// The absolute path with all links followed, so that one place has one text.
std::string whole_path(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path);
  const std::filesystem::path whole = std::filesystem::weakly_canonical(absolute, error);
  return error ? absolute.string() : whole.string();
}

/// For kinds of which `what` holds one split.
void need_test_path(const DataConfig& config, Split split, const char* what) {
  if (split == Split::test && config.test_path.empty()) {
    throw UserError(concat("data.test_path is empty: ", what, " holds one split, so data.kind = ",
                           name_of(config.kind), " needs it for the test split"));
  }
}

Dataset read_dataset(const DataConfig& config, const std::filesystem::path& path, Split split) {
  Dataset dataset;
  switch (config.kind) {
    case DataKind::fashion_mnist:
      dataset = read_mnist(path, split);
      dataset.class_names = fashion_names();
      break;
    case DataKind::mnist:
      dataset = read_mnist(path, split);
      dataset.class_names = digit_names();
      break;
    case DataKind::emnist:
      dataset = read_emnist(path, split);
      break;
    case DataKind::cifar10:
      dataset = read_cifar10(path, split);
      break;
    case DataKind::cifar100:
      dataset = read_cifar100(path, split);
      break;
    case DataKind::celeba:
      dataset = read_celeba(config, path, split);
      break;
    case DataKind::npz:
      need_test_path(config, split, "an .npz");
      check_data_file(path);
      dataset = read_npz_images(path);
      break;
    case DataKind::image_folder:
      dataset = read_image_folder(config, path, split);
      break;
    case DataKind::image_archive:
      need_test_path(config, split, "an archive");
      dataset = read_image_archive(config, path);
      break;
    case DataKind::toy:
      dataset = read_toy(config, split);
      break;
  }
  return dataset;
}

}  // namespace

Split parse_split(const std::string& name) {
  if (name == "train") return Split::train;
  if (name == "test") return Split::test;
  throw UserError(concat("split = ", name, ": must be train or test"));
}

std::filesystem::path existing_path(const DataConfig& config, const std::string& key) {
  const std::string& path = key == "data.path" ? config.path : config.test_path;
  std::error_code error;
  if (std::filesystem::exists(path, error)) return path;
  throw UserError(
      concat(written_at(config, key, path), ": ", error ? error.message() : "not found"));
}

Dataset load_dataset(const DataConfig& config, Split split) try {
  if (config.kind == DataKind::toy) {
    Dataset dataset = read_dataset(config, {}, split);
    dataset.description = describe_dataset(config, split);
    return dataset;
  }
  const std::filesystem::path path = path_of(config, split);
  Dataset dataset = read_dataset(config, path, split);
  check_images(dataset, config, path.string());
  dataset.description = describe_dataset(config, split);
  return dataset;
} catch (const std::filesystem::filesystem_error& error) {
  throw cannot_look_at(error);
}

std::string describe_dataset(const DataConfig& config, Split split) {
  const bool is_toy = config.kind == DataKind::toy;
  const std::string what = is_toy ? concat("toy ", name_of(config.toy)) : name_of(config.kind);
  const std::string part = concat(what, " ", name_of(split), " split");
  if (!is_toy) return concat(part, " in ", whole_path(path_of(config, split)));
  if (config.toy != ToyKind::gaussian) return part;
  return concat(part, " of the images in ", whole_path(config.path));
}

DataConfig detect_dataset(const std::filesystem::path& path, std::optional<DataKind> known) try {
  const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  DataConfig config;
  const bool is_folder = std::filesystem::is_directory(whole);
  if (is_image_archive(whole)) {
    config.kind = DataKind::image_archive;
  } else if (is_emnist(whole)) {
    config.kind = DataKind::emnist;
  } else if (std::filesystem::is_regular_file(whole)) {
    if (whole.extension() != ".npz") {
      throw UserError(concat(path.string(),
                             ": must be a folder, an .npz file, or an archive of pictures (.zip, "
                             ".tar, .tar.gz or .tgz)"));
    }
    config.kind = DataKind::npz;
  } else if (!is_folder) {
    if (!std::filesystem::exists(whole)) throw UserError(concat(path.string(), ": not found"));
    check_data_file(whole);
  } else if (!find_mnist(whole).empty()) {
    config.kind = known.value_or(DataKind::npz);
    if (config.kind != DataKind::mnist && config.kind != DataKind::fashion_mnist) {
      const std::string name = lower_case(find_mnist(whole).string());
      const bool is_fashion = name.find("fashion") != std::string::npos;
      config.kind = is_fashion ? DataKind::fashion_mnist : DataKind::mnist;
    }
  } else if (is_cifar10(whole)) {
    config.kind = DataKind::cifar10;
  } else if (is_cifar100(whole)) {
    config.kind = DataKind::cifar100;
  } else if (is_celeba(whole)) {
    config.kind = DataKind::celeba;
  } else {
    config.kind = DataKind::image_folder;
  }
  // A data set that is given to be scored serves for both splits.
  config.path = config.test_path = whole.string();
  return config;
} catch (const std::filesystem::filesystem_error& error) {
  throw cannot_look_at(error);
}

}  // namespace cdm
