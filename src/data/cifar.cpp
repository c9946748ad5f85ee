// SPDX-License-Identifier: MIT
// CIFAR-10, binary version: https://www.cs.toronto.edu/~kriz/cifar.html. Each record is a label
// byte and 3 x 32 x 32 pixel bytes: red, green, blue, each row by row.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <cstring>
#include <sstream>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "data/sources.h"

namespace cdm {
namespace {

constexpr std::int64_t kClasses = 10;
constexpr std::size_t kPixels = 3 * 32 * 32;
constexpr std::size_t kRecord = 1 + kPixels;

std::vector<std::string> read_class_names(const std::filesystem::path& file) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(file)) return names;
  std::istringstream text(read_file(file));
  for (std::string line; std::getline(text, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (names.size() != kClasses) {
    throw UserError(
        concat(file.string(), ": has ", names.size(), " class names; CIFAR-10 has ", kClasses));
  }
  return names;
}

}  // namespace

std::filesystem::path find_cifar10(const std::filesystem::path& path) {
  for (const std::filesystem::path& folder : {path, path / "cifar-10-batches-bin"}) {
    for (const char* file : {"data_batch_1.bin", "test_batch.bin"}) {
      if (std::filesystem::is_regular_file(folder / file)) return folder;
    }
  }
  return {};
}

Dataset read_cifar10(const std::filesystem::path& path, Split split) {
  const std::filesystem::path folder = find_cifar10(path);
  if (folder.empty()) {
    throw UserError(concat(path.string(),
                           ": has neither data_batch_1.bin nor test_batch.bin, nor a folder "
                           "cifar-10-batches-bin with them"));
  }
  std::vector<std::string> names = {"test_batch.bin"};
  if (split == Split::train) {
    names.clear();
    for (int i = 1; i <= 5; ++i) names.push_back(concat("data_batch_", i, ".bin"));
  }
  std::vector<std::string> files;
  std::size_t records = 0;
  for (const std::string& name : names) {
    files.push_back(read_file(folder / name));
    const std::size_t size = files.back().size();
    if (size == 0 || size % kRecord != 0) {
      throw UserError(concat((folder / name).string(), ": has ", size,
                             " bytes, not a multiple of the ", kRecord, " of a CIFAR-10 record"));
    }
    records += size / kRecord;
  }

  Dataset dataset;
  dataset.images = at::empty({static_cast<std::int64_t>(records), 3, 32, 32}, at::kByte);
  auto* pixels = dataset.images.mutable_data_ptr<std::uint8_t>();
  std::vector<at::Tensor> labels;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::size_t count = files[i].size() / kRecord;
    at::Tensor of_file = at::empty({static_cast<std::int64_t>(count)}, at::kLong);
    for (std::size_t k = 0; k < count; ++k) {
      const char* const record = files[i].data() + k * kRecord;
      of_file.mutable_data_ptr<std::int64_t>()[k] = static_cast<std::uint8_t>(record[0]);
      std::memcpy(pixels, record + 1, kPixels);
      pixels += kPixels;
    }
    check_labels((folder / names[i]).string(), of_file, of_file.size(0), kClasses);
    labels.push_back(std::move(of_file));
  }
  dataset.labels = at::cat(labels);
  dataset.class_names = read_class_names(folder / "batches.meta.txt");
  return dataset;
}

}  // namespace cdm
