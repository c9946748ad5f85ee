// SPDX-License-Identifier: MIT
// CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html), each in the binary version
// and in the Python version, which is the one that torchvision downloads. In the binary version, a
// record is one label byte (CIFAR-100: two, of which the second is the class) and 3 x 32 x 32 pixel
// bytes: red, green, blue, each row by row. In the Python version, a file is a pickle of such
// pixels and labels.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <cstring>
#include <sstream>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "data/sources.h"
#include "io/pickle.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSide = 32;
constexpr std::int64_t kPixels = 3 * kSide * kSide;

/// One of the two versions of a data set.
struct Version {
  const char* folder;  // that its archive makes
  std::vector<std::string> train, test;
  const char* names;  // the file with the names of the classes
};

struct Kind {
  const char* name;
  std::int64_t classes;
  Version binary, python;
  std::size_t label_bytes;  // binary: before the pixels; the last one is the class
  const char* labels_key;   // Python: of the labels, and of the classes' names
  const char* names_key;
};

const Kind& cifar10() {
  static const Kind kind = {
      "CIFAR-10",
      10,
      {"cifar-10-batches-bin",
       {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
        "data_batch_5.bin"},
       {"test_batch.bin"},
       "batches.meta.txt"},
      {"cifar-10-batches-py",
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"},
       {"test_batch"},
       "batches.meta"},
      1,
      "labels",
      "label_names"};
  return kind;
}

const Kind& cifar100() {
  static const Kind kind = {
      "CIFAR-100",
      100,
      {"cifar-100-binary", {"train.bin"}, {"test.bin"}, "fine_label_names.txt"},
      {"cifar-100-python", {"train"}, {"test"}, "meta"},
      2,
      "fine_labels",
      "fine_label_names"};
  return kind;
}

/// Where the files of a data set are, and in which version.
struct Place {
  fs::path folder;  // empty: nowhere
  const Version* version = nullptr;
};

Place find(const Kind& kind, const fs::path& path) {
  for (const Version* version : {&kind.binary, &kind.python}) {
    for (const fs::path& folder : {path, path / version->folder}) {
      for (const std::string& file : {version->train.front(), version->test.front()}) {
        if (fs::is_regular_file(folder / file)) return {folder, version};
      }
    }
  }
  return {};
}

void check_names(const Kind& kind, const fs::path& file, const std::vector<std::string>& names) {
  if (names.size() != static_cast<std::size_t>(kind.classes)) {
    throw UserError(concat(file.string(), ": has ", names.size(), " class names; ", kind.name,
                           " has ", kind.classes));
  }
}

/// Images uint8 [N, 3, 32, 32] and labels int64 [N] of one file.
struct Batch {
  at::Tensor images, labels;
};

Batch read_records(const Kind& kind, const fs::path& file) {
  const std::string bytes = read_file(file);
  const std::size_t record = kind.label_bytes + static_cast<std::size_t>(kPixels);
  if (bytes.empty() || bytes.size() % record != 0) {
    throw UserError(concat(file.string(), ": has ", bytes.size(), " bytes, not a multiple of the ",
                           record, " of a ", kind.name, " record"));
  }
  const auto count = static_cast<std::int64_t>(bytes.size() / record);
  Batch batch{at::empty({count, 3, kSide, kSide}, at::kByte), at::empty({count}, at::kLong)};
  auto* const pixels = batch.images.mutable_data_ptr<std::uint8_t>();
  auto* const labels = batch.labels.mutable_data_ptr<std::int64_t>();
  const char* from = bytes.data();
  for (std::int64_t i = 0; i < count; ++i, from += record) {
    labels[i] = static_cast<std::uint8_t>(from[kind.label_bytes - 1]);
    std::memcpy(pixels + i * kPixels, from + kind.label_bytes, kPixels);
  }
  return batch;
}

std::vector<std::string> read_text_names(const fs::path& file) {
  std::vector<std::string> names;
  std::istringstream text(read_file(file));
  for (std::string line; std::getline(text, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  return names;
}

/// The value of a key of the dict that a file of the Python version holds.
template <class T>
const T& member(const TorchValue& contents, const fs::path& file, const std::string& key,
                const char* what) {
  const auto* const dict = contents.get<TorchDict>();
  const TorchValue* const value = dict == nullptr ? nullptr : dict->find(key);
  const T* const found = value == nullptr ? nullptr : value->get<T>();
  if (found == nullptr) {
    throw UserError(concat(file.string(), ": lacks '", key, "', ", what));
  }
  return *found;
}

Batch read_pickled(const Kind& kind, const fs::path& file) {
  const TorchValue contents = parse_numpy_pickle(read_file(file), file.string());
  const auto& pixels = member<at::Tensor>(contents, file, "data", "an array of pixels");
  if (pixels.scalar_type() != at::kByte || pixels.dim() != 2 || pixels.size(1) != kPixels) {
    throw UserError(concat(file.string(), ": 'data' is ", pixels.scalar_type(), " ", pixels.sizes(),
                           "; it must be uint8 [images, ", kPixels, "]"));
  }
  std::vector<std::int64_t> labels;
  for (const TorchValue& label :
       member<TorchList>(contents, file, kind.labels_key, "a list of labels").items) {
    const auto* const number = label.get<std::int64_t>();
    if (number == nullptr) {
      throw UserError(concat(file.string(), ": '", kind.labels_key,
                             "' holds other things than "
                             "whole numbers"));
    }
    labels.push_back(*number);
  }
  return {pixels.view({pixels.size(0), 3, kSide, kSide}), at::tensor(labels, at::kLong)};
}

std::vector<std::string> read_pickled_names(const Kind& kind, const fs::path& file) {
  const TorchValue contents = parse_numpy_pickle(read_file(file), file.string());
  std::vector<std::string> names;
  for (const TorchValue& name :
       member<TorchList>(contents, file, kind.names_key, "a list of names").items) {
    const auto* const text = name.get<std::string>();
    if (text == nullptr) {
      throw UserError(
          concat(file.string(), ": '", kind.names_key, "' holds other things than text"));
    }
    names.push_back(*text);
  }
  return names;
}

Dataset read(const Kind& kind, const fs::path& path, Split split) {
  const auto [folder, version] = find(kind, path);
  if (version == nullptr) {
    throw UserError(concat(path.string(), ": has neither ", kind.binary.train.front(), " nor ",
                           kind.python.train.front(), ", nor a folder ", kind.binary.folder, " or ",
                           kind.python.folder, " with them"));
  }
  const bool is_binary = version == &kind.binary;
  std::vector<at::Tensor> images, labels;
  for (const std::string& name : split == Split::train ? version->train : version->test) {
    const fs::path file = folder / name;
    check_data_file(file);
    Batch batch = is_binary ? read_records(kind, file) : read_pickled(kind, file);
    check_labels(file.string(), batch.labels, batch.images.size(0), kind.classes);
    images.push_back(std::move(batch.images));
    labels.push_back(std::move(batch.labels));
  }
  Dataset dataset;
  dataset.images = at::cat(images);
  dataset.labels = at::cat(labels);
  if (const fs::path names = folder / version->names; is_there(names)) {
    check_data_file(names);
    dataset.class_names = is_binary ? read_text_names(names) : read_pickled_names(kind, names);
    check_names(kind, names, dataset.class_names);
  }
  return dataset;
}

}  // namespace

bool is_cifar10(const fs::path& path) { return find(cifar10(), path).version != nullptr; }

bool is_cifar100(const fs::path& path) {
  // The names "train" and "test" alone may mean anything.
  const auto [folder, version] = find(cifar100(), path);
  return version != nullptr && is_there(folder / version->names);
}

Dataset read_cifar10(const fs::path& path, Split split) { return read(cifar10(), path, split); }

Dataset read_cifar100(const fs::path& path, Split split) { return read(cifar100(), path, split); }

}  // namespace cdm
