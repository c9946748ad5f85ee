// SPDX-License-Identifier: MIT
#include "data/list_folder.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "data/natural_order.h"
#include "io/what_it_is.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

// Formats that are read, and other formats of pictures: a picture that is not read is an error, not
// passed over.
constexpr std::string_view kPictureEndings[] = {
    ".png",  ".apng", ".jpg",  ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2",  ".tga",  ".ppm", ".pgm", ".psd"};
// What lies beside pictures and is certainly no folder, so that a dead link of that name is no
// loss.
constexpr std::string_view kOtherEndings[] = {".txt", ".json", ".jsonl",   ".caption", ".csv",
                                              ".tsv", ".xml",  ".parquet", ".md",      ".npy"};
// Left behind by file managers, archivers, network drives and file systems.
constexpr std::string_view kLitter[] = {"thumbs.db",    "desktop.ini", "@eadir",
                                        "__macosx",     "#recycle",    "system volume information",
                                        "$recycle.bin", "lost+found"};

template <std::size_t count>
bool is_one_of(const std::string& text, const std::string_view (&list)[count]) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

std::string ending_of(const std::string& name) {
  return lower_case(fs::path(name).extension().string());
}

bool is_litter(const std::string& name) {
  return name.starts_with('.') || is_one_of(lower_case(name), kLitter);
}

/// False where a link leads nowhere, and where the file system does not tell.
bool is_known(fs::file_type type) {
  return type != fs::file_type::not_found && type != fs::file_type::none &&
         type != fs::file_type::unknown;
}

void add_entry(const fs::path& path, FolderListing& listing) {
  const std::string name = path.filename().string();
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  const bool is_there = is_known(type);
  if (is_litter(name)) {
    listing.passed_over.push_back(type == fs::file_type::directory ? name + "/" : name);
  } else if (type == fs::file_type::directory) {
    listing.folders.push_back(name);
  } else if (has_picture_name(name)) {
    listing.pictures.push_back(name);
  } else if (is_there || is_one_of(ending_of(name), kOtherEndings)) {
    listing.passed_over.push_back(name);
  } else {
    throw UserError(concat(in_one_line(path.string()), ": ", why_not_a_file(path)));
  }
}

}  // namespace

FolderListing list_folder(const fs::path& folder) {
  FolderListing listing;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  while (!error && at != fs::directory_iterator()) {
    add_entry(at->path(), listing);
    at.increment(error);
  }
  if (error) {
    throw UserError(concat(in_one_line(folder.string()), ": cannot be read: ", error.message()));
  }
  std::sort(listing.pictures.begin(), listing.pictures.end(), natural_less);
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.passed_over.begin(), listing.passed_over.end());
  return listing;
}

bool is_folder(const fs::path& path) {
  std::error_code error, ignored;
  const fs::file_type type = fs::status(path, error).type();
  const bool is_nothing = fs::symlink_status(path, ignored).type() == fs::file_type::not_found;
  if (is_nothing || is_known(type)) {
    return type == fs::file_type::directory;
  }
  throw UserError(concat(in_one_line(path.string()), ": ", why_not_a_file(path)));
}

bool has_picture_name(const std::string& name) {
  return is_one_of(ending_of(name), kPictureEndings);
}

void say_passed_over(const std::string& place, const std::vector<std::string>& names) {
  if (names.empty()) return;
  log_info_once(concat(in_one_line(place), ": passed over ", describe_passed_over(names)));
}

std::string describe_passed_over(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 5;
  std::vector<std::string> named;
  for (std::size_t i = 0; i < std::min(kNamed, names.size()); ++i) {
    named.push_back(in_one_line(names[i]));
  }
  if (names.size() > kNamed) named.push_back(concat("and ", names.size() - kNamed, " more"));
  const auto folders = static_cast<std::size_t>(std::count_if(
      names.begin(), names.end(), [](const std::string& name) { return name.ends_with('/'); }));
  const bool is_one = names.size() == 1;
  const char* const what = folders == 0              ? (is_one ? " file" : " files")
                           : folders == names.size() ? (is_one ? " folder" : " folders")
                                                     : " files and folders";
  return concat(names.size(), what,
                is_one ? " that is no picture: " : " that are no pictures: ", join(named, ", "));
}

}  // namespace cdm
