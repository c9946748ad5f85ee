// SPDX-License-Identifier: MIT
// EMNIST (Cohen et al., 2017): handwritten digits and letters, divided into classes in six ways,
// each a part with files of its own: emnist-letters-train-images-idx3-ubyte and so on.
#include <ATen/core/Tensor.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "data/sources.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kUnlike = "abdefghnqrt";  // lower case that differs from upper case

struct Part {
  std::string_view name;
  std::array<std::string_view, 3> classes;  // one character each
  std::int64_t first_label;                 // in the file
};
constexpr std::array<Part, 6> kParts = {{{"balanced", {kDigits, kUpper, kUnlike}, 0},
                                         {"byclass", {kDigits, kUpper, kLower}, 0},
                                         {"bymerge", {kDigits, kUpper, kUnlike}, 0},
                                         {"digits", {kDigits, "", ""}, 0},
                                         {"letters", {kLower, "", ""}, 1},
                                         {"mnist", {kDigits, "", ""}, 0}}};

// Where the official archive and torchvision put the files.
constexpr std::array<const char*, 4> kFolders = {"", "gzip", "raw", "EMNIST/raw"};

struct Place {
  fs::path folder;
  const Part* part;
};

std::string prefix_of(const Part& part, Split split) {
  return concat("emnist-", part.name, split == Split::train ? "-train" : "-test");
}

bool is_there(const fs::path& folder, const Part& part) {
  for (const Split split : {Split::train, Split::test}) {
    if (!find_idx(folder, prefix_of(part, split), IdxContents::images).empty()) return true;
  }
  return false;
}

/// All parts that `path` may mean: those in a folder, or the one whose files begin with `path`.
std::vector<Place> places(const fs::path& path) {
  std::vector<Place> found;
  const bool is_folder = fs::is_directory(path);
  const fs::path base = is_folder ? path : path.parent_path();
  const std::string wanted = is_folder ? "" : path.filename().string();
  for (const char* const inside : kFolders) {
    const fs::path folder = *inside == '\0' ? base : base / inside;
    for (const Part& part : kParts) {
      const bool is_wanted = is_folder || wanted == concat("emnist-", part.name);
      if (is_wanted && is_there(folder, part)) found.push_back({folder, &part});
    }
    if (!found.empty()) break;
  }
  return found;
}

std::vector<std::string> names_of_classes(const Part& part) {
  std::vector<std::string> names;
  for (const std::string_view group : part.classes) {
    for (const char name : group) names.emplace_back(1, name);
  }
  return names;
}

}  // namespace

bool is_emnist(const fs::path& path) { return !places(path).empty(); }

Dataset read_emnist(const fs::path& path, Split split) {
  const std::vector<Place> found = places(path);
  if (found.empty()) {
    std::vector<std::string> names;
    for (const Part& part : kParts) names.emplace_back(part.name);
    throw UserError(concat(path.string(),
                           ": neither a folder with files such as "
                           "emnist-letters-train-images-idx3-ubyte, nor the beginning of their "
                           "names (FOLDER/emnist-PART with PART one of ",
                           join(names, ", "), ")"));
  }
  if (found.size() > 1) {
    std::vector<std::string> choices;
    for (const Place& place : found) choices.push_back(concat("emnist-", place.part->name));
    throw UserError(concat(path.string(),
                           ": has several parts of EMNIST; add one of their names to "
                           "the path: ",
                           join(choices, ", ")));
  }
  const auto& [folder, part] = found.front();
  const std::string prefix = prefix_of(*part, split);
  Dataset dataset = read_idx_pair(folder, prefix);
  // The files hold each image with its rows and columns exchanged.
  dataset.images = dataset.images.transpose(2, 3).contiguous();
  dataset.class_names = names_of_classes(*part);
  if (dataset.labels.defined()) {
    check_labels(find_idx(folder, prefix, IdxContents::labels).string(), dataset.labels,
                 dataset.size(), static_cast<std::int64_t>(dataset.class_names.size()),
                 part->first_label);
    dataset.labels -= part->first_label;
  }
  return dataset;
}

}  // namespace cdm
