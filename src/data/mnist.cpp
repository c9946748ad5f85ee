// SPDX-License-Identifier: MIT
// MNIST and Fashion-MNIST: a pair of IDX files for each split.
#include <array>
#include <string>

#include "data/sources.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kClasses = 10;
// Where torchvision puts the files below the folder that it is given.
constexpr std::array<const char*, 4> kFolders = {"", "raw", "MNIST/raw", "FashionMNIST/raw"};

std::string prefix_of(Split split) { return split == Split::train ? "train" : "t10k"; }

}  // namespace

fs::path find_mnist(const fs::path& folder) {
  for (const char* const inside : kFolders) {
    const fs::path candidate = *inside == '\0' ? folder : folder / inside;
    for (const Split split : {Split::train, Split::test}) {
      if (!find_idx(candidate, prefix_of(split), IdxContents::images).empty()) return candidate;
    }
  }
  return {};
}

Dataset read_mnist(const fs::path& path, Split split) {
  const fs::path found = find_mnist(path);
  const fs::path folder = found.empty() ? path : found;
  Dataset dataset = read_idx_pair(folder, prefix_of(split));
  if (dataset.labels.defined()) {
    check_labels(find_idx(folder, prefix_of(split), IdxContents::labels).string(), dataset.labels,
                 dataset.size(), kClasses);
  }
  return dataset;
}

}  // namespace cdm
