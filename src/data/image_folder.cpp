// SPDX-License-Identifier: MIT
// Folders of PNG and JPEG pictures. With sub-folders, each of them is a class.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/io/image.h"
#include "data/sources.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

// The largest ratio of longer to shorter side. Resizing keeps the ratio, and takes memory for it.
constexpr std::int64_t kMostStretch = 64;

struct Entries {
  std::vector<fs::path> files, folders;  // sorted
};

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool has_picture_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

Entries list(const fs::path& folder) {
  Entries found;
  std::error_code error;
  fs::directory_iterator iterator(folder, error);
  if (error) throw UserError(concat(folder.string(), ": cannot be read: ", error.message()));
  for (const fs::directory_entry& entry : iterator) {
    if (is_hidden(entry.path())) continue;
    (entry.is_directory() ? found.folders : found.files).push_back(entry.path());
  }
  std::sort(found.files.begin(), found.files.end());
  std::sort(found.folders.begin(), found.folders.end());
  return found;
}

bool has_splits(const fs::path& base) {
  return fs::is_directory(base / "train") || fs::is_directory(base / "test");
}

bool has_train_split(const fs::path& base) {
  return has_splits(base) ? fs::is_directory(base / "train") : fs::is_directory(base);
}

/// The folder with the pictures of a split: `base` itself, or its sub-folder train or test when it
/// has one of these two.
fs::path folder_of(const fs::path& base, Split split) {
  if (!has_splits(base)) return base;
  const fs::path folder = base / (split == Split::train ? "train" : "test");
  if (fs::is_directory(folder)) return folder;
  throw UserError(concat(folder.string(), ": not found, though the other split has a folder",
                         split == Split::train ? "" : "; or set data.test_path"));
}

std::vector<std::string> class_names_of(const Entries& entries) {
  std::vector<std::string> names;
  for (const fs::path& folder : entries.folders) names.push_back(folder.filename().string());
  return names;
}

struct Picture {
  fs::path file;
  std::int64_t label;
};

void check_shape(const fs::path& file, const at::Tensor& picture, std::int64_t size, bool resize) {
  const std::int64_t height = picture.size(1), width = picture.size(2);
  if (resize && std::max(height, width) > kMostStretch * std::min(height, width)) {
    throw UserError(concat(file.string(), ": is ", height, " x ", width,
                           " (height x width): too long and narrow to be cut to a square"));
  }
  if (!resize && (height != size || width != size)) {
    throw UserError(concat(file.string(), ": is ", height, " x ", width, " (height x width), not ",
                           size, " x ", size,
                           " as the first needs; set data.image_size to resize all"));
  }
}

at::Tensor read_pictures(const std::vector<Picture>& pictures, const DataConfig& config) {
  const std::int64_t channels = config.channels == 0 ? 3 : config.channels;
  const bool resize = config.image_size != 0;
  std::int64_t size = config.image_size;
  at::Tensor images;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    at::Tensor picture = read_image(pictures[i].file, channels);
    if (!images.defined()) {
      if (!resize) size = picture.size(1);
      images =
          at::empty({static_cast<std::int64_t>(pictures.size()), channels, size, size}, at::kByte);
    }
    check_shape(pictures[i].file, picture, size, resize);
    if (resize) picture = resize_and_center_crop(picture, size);
    images[static_cast<std::int64_t>(i)].copy_(picture);
  }
  // data.channels = 0 means the data's own: grey when no picture has colour.
  const at::Tensor red = images.narrow(1, 0, 1);
  if (config.channels == 0 && at::equal(red, images.narrow(1, 1, 1)) &&
      at::equal(red, images.narrow(1, 2, 1))) {
    return red.contiguous();
  }
  return images;
}

}  // namespace

Dataset read_image_folder(const DataConfig& config, const fs::path& base, Split split) {
  if (split == Split::test && config.test_path.empty() && !has_splits(base)) {
    throw UserError(concat(base.string(), ": has no sub-folder test; set data.test_path"));
  }
  const fs::path folder = folder_of(base, split);
  const Entries entries = list(folder);
  Dataset dataset;
  dataset.class_names = class_names_of(entries);
  if (split == Split::test && !dataset.class_names.empty() && has_train_split(config.path)) {
    // The training split numbers the classes, even if the test split has fewer of them.
    const auto trained = class_names_of(list(folder_of(config.path, Split::train)));
    if (!trained.empty()) dataset.class_names = trained;
  }

  std::vector<Picture> pictures;
  if (entries.folders.empty()) {
    for (const fs::path& file : entries.files) pictures.push_back({file, 0});
  } else if (const auto loose =
                 std::find_if(entries.files.begin(), entries.files.end(), has_picture_name);
             loose != entries.files.end()) {
    throw UserError(concat(loose->string(), ": is a picture beside class folders; it needs one"));
  }
  for (const fs::path& class_folder : entries.folders) {
    const auto& names = dataset.class_names;
    const auto name = std::find(names.begin(), names.end(), class_folder.filename().string());
    if (name == names.end()) {
      throw UserError(concat(class_folder.string(), ": the training split has no such class"));
    }
    const Entries inside = list(class_folder);
    if (!inside.folders.empty()) {
      throw UserError(concat(inside.folders[0].string(), ": a class folder holds pictures only"));
    }
    if (inside.files.empty()) {
      throw UserError(concat(class_folder.string(), ": holds no pictures"));
    }
    for (const fs::path& file : inside.files) pictures.push_back({file, name - names.begin()});
  }
  if (pictures.empty()) throw UserError(concat(folder.string(), ": holds no pictures"));

  dataset.images = read_pictures(pictures, config);
  if (!entries.folders.empty()) {
    std::vector<std::int64_t> labels;
    for (const Picture& picture : pictures) labels.push_back(picture.label);
    dataset.labels = at::tensor(labels, at::kLong);
  }
  return dataset;
}

}  // namespace cdm
