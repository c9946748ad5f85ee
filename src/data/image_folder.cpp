// SPDX-License-Identifier: MIT
// Folders of pictures. With sub-folders, each of them is a class.
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "data/hold_out.h"
#include "data/list_folder.h"
#include "data/read_pictures.h"
#include "data/sources.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

// Names of the test split's folder, the best first: many data sets have a validation split only.
constexpr const char* kTestFolders[] = {"test", "val", "valid", "validation"};

bool has_splits(const fs::path& base) {
  return is_folder(base / "train") || is_folder(base / "test");
}

bool has_train_split(const fs::path& base) {
  return has_splits(base) ? is_folder(base / "train") : is_folder(base);
}

/// The folder with the pictures of a split: `base` itself, or a sub-folder when it has train or
/// test.
fs::path folder_of(const fs::path& base, Split split) {
  if (!has_splits(base)) return base;
  if (split == Split::train) {
    if (is_folder(base / "train")) return base / "train";
    throw UserError(
        concat((base / "train").string(), ": not found, though the other split has a folder"));
  }
  for (const char* const name : kTestFolders) {
    if (!is_folder(base / name)) continue;
    if (name != kTestFolders[0]) {
      log_info_once(concat(in_one_line((base / name).string()),
                           ": read as the test split, because there is no folder test"));
    }
    return base / name;
  }
  throw UserError(concat((base / "test").string(),
                         ": not found, though the other split has a folder; or set "
                         "data.test_path"));
}

/// What lies beside the folders of splits, and is not read.
std::vector<std::string> beside_splits(const fs::path& base) {
  if (!has_splits(base)) return {};
  const FolderListing listing = list_folder(base);
  std::vector<std::string> names;
  for (const std::string& name : listing.folders) {
    const bool is_split =
        name == "train" ||
        std::find(std::begin(kTestFolders), std::end(kTestFolders), name) != std::end(kTestFolders);
    if (!is_split) names.push_back(name + "/");
  }
  names.insert(names.end(), listing.pictures.begin(), listing.pictures.end());
  return names;
}

/// The pictures of a folder and their classes.
struct Contents {
  std::vector<std::string> class_names;  // empty when there are no class folders
  std::vector<std::string> names;        // of pictures, relative to the folder
  std::vector<std::int64_t> classes;     // numbers in class_names; all 0 without class folders
  std::vector<std::string> passed_over;
};

void add_class(const fs::path& folder, const std::string& name, Contents& contents) {
  const fs::path class_folder = folder / name;
  const FolderListing inside = list_folder(class_folder);
  if (!inside.folders.empty()) {
    const fs::path nested = class_folder / inside.folders[0];
    const bool has_splits_inside =
        std::any_of(inside.folders.begin(), inside.folders.end(),
                    [](const std::string& found) { return found == "train" || found == "test"; });
    throw UserError(
        concat(in_one_line(nested.string()), ": a folder in the class folder ", in_one_line(name),
               "; a class folder holds pictures only",
               has_splits_inside
                   ? concat("; data.path = ", in_one_line(class_folder.string()), " has splits")
                   : ""));
  }
  for (const std::string& file : inside.passed_over) {
    contents.passed_over.push_back(concat(name, "/", file));
  }
  if (inside.pictures.empty()) {
    throw UserError(concat(in_one_line(class_folder.string()), ": holds no pictures",
                           inside.passed_over.empty()
                               ? ""
                               : concat(", but ", describe_passed_over(inside.passed_over))));
  }
  for (const std::string& picture : inside.pictures) {
    contents.names.push_back(concat(name, "/", picture));
    contents.classes.push_back(static_cast<std::int64_t>(contents.class_names.size()));
  }
  contents.class_names.push_back(name);
}

/// Throws when folders that look like splits would be read as classes, so that the pictures of
/// training and test would be mixed.
void refuse_splits_as_classes(const fs::path& folder, const std::vector<std::string>& names) {
  static const std::set<std::string> splits = {"train", "training", "test",      "testing",
                                               "val",   "valid",    "validation"};
  const bool are_splits =
      names.size() > 1 && std::all_of(names.begin(), names.end(), [](const std::string& name) {
        return splits.contains(lower_case(name));
      });
  if (!are_splits) return;
  throw UserError(concat(in_one_line(folder.string()), ": its folders look like splits (",
                         in_one_line(join(names, ", ")),
                         "); name them train and test, or give them by data.path and "
                         "data.test_path"));
}

Contents contents_of(const fs::path& folder) {
  const FolderListing listing = list_folder(folder);
  refuse_splits_as_classes(folder, listing.folders);
  Contents contents;
  contents.passed_over = listing.passed_over;
  if (listing.folders.empty()) {
    contents.names = listing.pictures;
    contents.classes.assign(listing.pictures.size(), 0);
  } else if (!listing.pictures.empty()) {
    throw UserError(concat(in_one_line((folder / listing.pictures[0]).string()),
                           ": is a picture beside class folders; move it into one"));
  }
  for (const std::string& name : listing.folders) add_class(folder, name, contents);
  if (contents.names.empty()) {
    throw UserError(concat(in_one_line(folder.string()), ": holds no pictures",
                           contents.passed_over.empty()
                               ? ""
                               : concat(", but ", describe_passed_over(contents.passed_over))));
  }
  return contents;
}

/// The labels of the pictures when the classes are numbered as in `numbering`.
std::vector<std::int64_t> labels_of(const Contents& contents, const fs::path& folder,
                                    const std::vector<std::string>& numbering) {
  std::vector<std::int64_t> numbers;  // of each class
  for (const std::string& name : contents.class_names) {
    const auto at = std::find(numbering.begin(), numbering.end(), name);
    if (at == numbering.end()) {
      throw UserError(
          concat(in_one_line((folder / name).string()), ": the training split has no such class"));
    }
    numbers.push_back(at - numbering.begin());
  }
  std::vector<std::int64_t> labels;
  for (const std::int64_t i : contents.classes)
    labels.push_back(numbers[static_cast<std::size_t>(i)]);
  return labels;
}

/// Throws when pictures of a class were to be read, and none is among the kept ones.
void check_no_class_is_lost(const Contents& contents, const fs::path& folder,
                            const std::vector<std::int64_t>& kept) {
  std::set<std::int64_t> missing(contents.classes.begin(), contents.classes.end());
  for (const std::int64_t i : kept) missing.erase(contents.classes[static_cast<std::size_t>(i)]);
  if (missing.empty()) return;
  const std::string& name = contents.class_names[static_cast<std::size_t>(*missing.begin())];
  throw UserError(
      concat(in_one_line((folder / name).string()), ": none of its pictures can be read"));
}

/// Keeps only the pictures of `split`, in a folder that holds both splits. The tenth that
/// held_out() chooses is the test split.
void take_split(const fs::path& folder, Split split, Contents& contents) {
  const std::vector<bool> held = held_out(contents.names, contents.classes);
  const auto count = std::count(held.begin(), held.end(), true);
  if (count == 0 && split == Split::test) {
    throw UserError(concat(in_one_line(folder.string()),
                           ": has one picture and no test split; set data.test_path"));
  }
  if (count == 0) return;
  log_info_once(concat(in_one_line(folder.string()), ": has no test split: ", count, " of ",
                       held.size(), " pictures, chosen by a hash of their names, are held out"));
  Contents chosen;
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (held[i] != (split == Split::test)) continue;
    chosen.names.push_back(contents.names[i]);
    chosen.classes.push_back(contents.classes[i]);
  }
  contents.names = std::move(chosen.names);
  contents.classes = std::move(chosen.classes);
}

}  // namespace

Dataset read_image_folder(const DataConfig& config, const fs::path& base, Split split) {
  const fs::path folder = folder_of(base, split);
  Contents contents = contents_of(folder);
  const bool has_classes = !contents.class_names.empty();
  Dataset dataset;
  dataset.class_names = contents.class_names;
  if (split == Split::test && has_classes && has_train_split(config.path)) {
    // The training split numbers the classes, even if the test split has fewer of them.
    const auto trained = list_folder(folder_of(config.path, Split::train)).folders;
    if (!trained.empty()) dataset.class_names = trained;
  }
  say_passed_over(folder.string(), contents.passed_over);
  say_passed_over(base.string(), beside_splits(base));
  if (!has_splits(base) && config.test_path.empty()) take_split(folder, split, contents);
  const std::vector<std::int64_t> labels =
      has_classes ? labels_of(contents, folder, dataset.class_names) : std::vector<std::int64_t>();

  const PictureImages decoded = read_picture_files({folder.string(), contents.names},
                                                   shape_for(config), config.skip_unreadable);
  dataset.images = decoded.images;
  dataset.conversion = decoded.conversion;
  std::vector<std::int64_t> kept_labels;
  for (const std::int64_t i : decoded.kept) {
    dataset.file_names.push_back(contents.names[static_cast<std::size_t>(i)]);
    if (has_classes) kept_labels.push_back(labels[static_cast<std::size_t>(i)]);
  }
  if (has_classes) {
    check_no_class_is_lost(contents, folder, decoded.kept);
    dataset.labels = at::tensor(kept_labels, at::kLong);
  }
  return dataset;
}

}  // namespace cdm
