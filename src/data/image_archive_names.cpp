// SPDX-License-Identifier: MIT
// The names and labels in archives of pictures, and the names of the archives themselves.
#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "data/image_archive.h"
#include "data/list_folder.h"
#include "data/sources.h"
#include "io/archive.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostClass = 64;             // bytes of a .cls file
constexpr std::uint64_t kMostList = 256U << 20U;     // bytes of a dataset.json,
constexpr std::uint64_t kMostListPerPicture = 1024;  // and those for each picture,
constexpr std::uint64_t kMostListAnyway = 65536;     // and besides
constexpr std::int64_t kMostLabel = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMostArchives = 100000;
constexpr std::string_view kList = "dataset.json";

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
  const std::string small = lower_case(name);
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return small.ends_with(ending); });
}

bool is_class_name(std::string_view name) { return ends_with_any(name, {".cls"}); }

bool is_archive_name(std::string_view name) {
  return ends_with_any(name, {".zip", ".tar", ".tar.gz", ".tgz"});
}

/// The folders of a name, with the last '/'.
std::string folder_of(const std::string& name) { return name.substr(0, name.rfind('/') + 1); }

/// Whether a file is one that macOS adds to archives, or hidden.
bool is_passed_over(const std::string& name) {
  return name[folder_of(name).size()] == '.' || name.starts_with("__MACOSX/");
}

/// WebDataset's key of a sample: its name up to the first dot after the folders.
std::string key_of(const std::string& name) {
  return name.substr(0, name.find('.', folder_of(name).size()));
}

std::int64_t parse_class(const std::string& text, const std::string& where) {
  const std::size_t end = text.find_last_not_of(" \r\n\t") + 1;
  const std::optional<std::int64_t> label = whole_number(std::string_view(text).substr(0, end));
  if (!label || *label < 0 || *label > kMostLabel) {
    throw UserError(concat(where, ": holds '", printable(text.substr(0, end)),
                           "'; a class must be a whole number in 0..", kMostLabel));
  }
  return *label;
}

using Labels = std::map<std::string, std::int64_t>;

/// The labels that a dataset.json gives, by the names of pictures; `folder` is where it lies.
Labels parse_list(const std::string& text, const std::string& folder, const std::string& where) {
  const auto fail = [&](const std::string& reason) {
    return UserError(concat(where, ": ", reason,
                            "; it must hold {\"labels\": [[\"NAME\", CLASS], ...]}, or null for "
                            "the labels"));
  };
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw fail("is no JSON object");
  const auto labels = json.find("labels");
  if (labels == json.end() || labels->is_null()) return {};
  if (!labels->is_array()) throw fail("its labels are no list");
  Labels found;
  for (std::size_t i = 0; i < labels->size(); ++i) {
    const auto& pair = (*labels)[i];
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string()) {
      throw fail(concat("label ", i, " is no pair of a name and a class"));
    }
    if (!pair[1].is_number_integer() || pair[1] < 0 || pair[1] > kMostLabel) {
      throw fail(concat("the class of '", printable(pair[0].get_ref<const std::string&>()),
                        "' is no whole number in 0..", kMostLabel));
    }
    std::string name = pair[0];
    std::replace(name.begin(), name.end(), '\\', '/');
    if (!found.emplace(folder + name, pair[1].get<std::int64_t>()).second) {
      throw fail(concat("it names '", printable(name), "' twice"));
    }
  }
  return found;
}

/// Gives pictures the labels of a dataset.json.
void label_by_name(ArchivePictures& pictures, const Labels& labels, const std::string& where) {
  for (const auto& [name, label] : labels) {
    const auto picture = pictures.find(name);
    if (picture == pictures.end()) {
      throw UserError(concat(where, ": names '", printable(name), "', which is not there"));
    }
    picture->second = label;
  }
}

/// Gives pictures the labels of .cls files, by their keys.
void label_by_key(ArchivePictures& pictures, const Labels& labels, const fs::path& file) {
  std::map<std::string, std::string> names;
  for (auto& [name, label] : pictures) {
    const std::string key = key_of(name);
    const auto found = labels.find(key);
    if (found == labels.end()) continue;
    label = found->second;
    const auto [other, is_new] = names.emplace(key, name);
    if (!is_new) {
      throw UserError(concat(file.string(), ": has two pictures of one sample: '",
                             printable(other->second), "' and '", printable(name), "'"));
    }
  }
  for (const auto& [key, label] : labels) {
    if (!names.contains(key)) {
      throw UserError(
          concat(file.string(), ": '", printable(key), ".cls' is the label of no picture"));
    }
  }
}

/// A range {FIRST..LAST} in a name.
struct Range {
  std::size_t begin, end;  // of its text
  std::int64_t first, last;
  std::size_t width;  // of the numbers, filled with zeros; 0 = none
};

std::optional<Range> find_range(const std::string& name) {
  const std::size_t open = name.find('{');
  const std::size_t dots = name.find("..", open);
  const std::size_t close = name.find('}', dots);
  if (open == std::string::npos || dots == std::string::npos || close == std::string::npos) {
    return std::nullopt;
  }
  const std::string first = name.substr(open + 1, dots - open - 1);
  const auto low = whole_number(first);
  const auto high = whole_number(std::string_view(name).substr(dots + 2, close - dots - 2));
  if (!low || *low < 0 || !high || *high < 0) return std::nullopt;
  return Range{open, close + 1, *low, *high, first.starts_with('0') ? first.size() : 0};
}

std::vector<fs::path> expand(const fs::path& path, const Range& range) {
  if (range.last < range.first || range.last - range.first >= kMostArchives) {
    throw UserError(concat(path.string(),
                           ": its range must go from the smaller number to the "
                           "larger one, and have at most ",
                           kMostArchives, " of them"));
  }
  const std::string name = path.string();
  std::vector<fs::path> files;
  for (std::int64_t number = range.first; number <= range.last; ++number) {
    std::string digits = std::to_string(number);
    if (digits.size() < range.width) digits.insert(0, range.width - digits.size(), '0');
    files.emplace_back(name.substr(0, range.begin) + digits + name.substr(range.end));
  }
  return files;
}

}  // namespace

bool is_image_archive(const fs::path& path) {
  if (!fs::is_directory(path)) return is_archive_name(path.filename().string());
  // A folder of archives holds no folders and no pictures beside them.
  bool has_archive = false;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    if (entry.is_directory() || has_picture_name(name)) return false;
    has_archive = has_archive || is_archive_name(name);
  }
  return has_archive;
}

std::vector<fs::path> archives_of(const fs::path& path) {
  std::vector<fs::path> files;
  if (fs::is_directory(path)) {
    std::error_code error;
    fs::directory_iterator iterator(path, error);
    if (error) throw UserError(concat(path.string(), ": cannot be read: ", error.message()));
    for (const fs::directory_entry& entry : iterator) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with('.') && is_archive_name(name)) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    if (files.empty()) {
      throw UserError(concat(path.string(), ": holds no archives (.zip, .tar, .tar.gz or .tgz)"));
    }
  } else if (const auto range = find_range(path.string()); range && !fs::exists(path)) {
    files = expand(path, *range);
  } else {
    files = {path};
  }
  for (const fs::path& file : files) check_data_file(file);
  return files;
}

ArchiveListing list_archive(const fs::path& file) {
  ArchiveListing listing;
  ArchivePictures& pictures = listing.pictures;
  Labels classes;  // by the keys of .cls files
  std::string list, list_name, list_where;
  for (ArchiveReader archive(file); archive.next();) {
    const std::string& name = archive.name();
    if (is_passed_over(name)) {
      listing.passed_over.push_back(name);
      continue;
    }
    bool is_new = true;
    if (archive.is_link() && (has_picture_name(name) || is_class_name(name))) {
      throw UserError(concat(archive.where(), ": is a link, which is not followed in an archive"));
    }
    if (archive.is_link()) {
      listing.passed_over.push_back(name);
      continue;
    }
    if (has_picture_name(name)) {
      is_new = pictures.emplace(name, std::nullopt).second;
    } else if (is_class_name(name)) {
      is_new = classes.emplace(key_of(name), parse_class(archive.read(kMostClass), archive.where()))
                   .second;
    } else if (name.substr(folder_of(name).size()) == kList) {
      is_new = list_name.empty();
      list_name = name;
      list_where = archive.where();
      list = archive.read(kMostList);
    } else {
      listing.passed_over.push_back(name);
    }
    if (!is_new) throw UserError(concat(archive.where(), ": is there twice"));
  }
  if (list.size() > kMostListAnyway + kMostListPerPicture * pictures.size()) {
    throw UserError(
        concat(list_where, ": is too large for a list of ", pictures.size(), " pictures"));
  }
  if (!list_name.empty()) {
    const Labels labels = parse_list(list, folder_of(list_name), list_where);
    if (!labels.empty() && !classes.empty()) {
      throw UserError(concat(file.string(), ": has labels both in ", kList, " and in .cls files"));
    }
    label_by_name(pictures, labels, list_where);
  }
  label_by_key(pictures, classes, file);
  return listing;
}

}  // namespace cdm
