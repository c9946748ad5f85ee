// SPDX-License-Identifier: MIT
// CelebA (Liu et al., 2015) as it is distributed: aligned pictures, 178 pixels wide and 218 high,
// and the official partition into training, validation and test pictures.
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "cdm/io/image.h"
#include "data/read_pictures.h"
#include "data/sources.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPictures = "img_align_celeba";
constexpr const char* kPartition = "list_eval_partition";
constexpr std::int64_t kHeight = 218, kWidth = 178;
// The square around the face that is cut out: rows 57..184, columns 25..152, as in the code of DDIM
// (Song et al., 2021).
constexpr std::int64_t kSquare = 128, kCentreRow = 121, kCentreColumn = 89;
constexpr std::int64_t kUsualSize = 64;

/// Where the pictures and the partition are. Each is empty when it is nowhere.
struct Place {
  fs::path pictures, list;
};

/// Finds the pictures beside the list, where most copies have them, or in the official folders Img
/// and Eval (or Anno). One copy that is passed around holds the pictures one folder deeper, and
/// torchvision puts all into a folder celeba.
Place find(const fs::path& folder) {
  Place found;
  for (const fs::path& base : {folder, folder / "celeba", folder / "CelebA"}) {
    for (const fs::path& around : {base, base / "Img"}) {
      for (const fs::path& inner : {around / kPictures / kPictures, around / kPictures}) {
        if (found.pictures.empty() && fs::is_directory(inner)) found.pictures = inner;
      }
    }
    for (const fs::path& around : {base, base / "Eval", base / "Anno"}) {
      for (const char* const extension : {".txt", ".csv"}) {
        const fs::path file = around / (std::string(kPartition) + extension);
        if (found.list.empty() && fs::is_regular_file(file)) found.list = file;
      }
    }
  }
  return found;
}

/// The names of the pictures of a split. The list numbers them 0 = train, 1 = validation, 2 = test;
/// lines are such as "000001.jpg 0", or in a .csv "000001.jpg,0" after a line of headings.
std::vector<std::string> names_of(const fs::path& list, Split split) {
  const std::int64_t wanted = split == Split::train ? 0 : 2;
  std::istringstream lines(read_file(list));
  std::vector<std::string> names;
  std::unordered_map<std::string, std::int64_t> seen;  // in which line
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || (number == 1 && line == "image_id,partition")) continue;
    const std::size_t gap = line.find_first_of(" ,\t");
    const std::string name = line.substr(0, gap);
    const bool is_file_name = !name.empty() && name.find('/') == std::string::npos;
    const char part = line.back();
    if (gap == std::string::npos || gap + 2 != line.size() || part < '0' || part > '2' ||
        !is_file_name) {
      throw UserError(concat(list.string(), ":", number, ": ", in_quotes(line),
                             " must be a file name and 0, 1 or 2"));
    }
    const auto [earlier, is_new] = seen.emplace(name, number);
    if (!is_new) {
      throw UserError(concat(list.string(), ":", number, ": names ", in_quotes(name),
                             " once more; line ", earlier->second, " did"));
    }
    if (part - '0' == wanted) names.push_back(name);
  }
  if (names.empty()) {
    throw UserError(concat(list.string(), ": names no pictures of partition ", wanted));
  }
  return names;
}

/// The pictures of a split. All of them are looked for before any is read.
PictureNames pictures_of(const fs::path& folder, Split split) {
  constexpr std::size_t kMostNamed = 10;
  const Place place = find(folder);
  if (place.list.empty()) {
    throw UserError(
        concat((folder / kPartition).string(),
               ".txt (or .csv): not found; it comes with CelebA, in its folder Eval, and "
               "says which pictures are for training and which for testing"));
  }
  if (place.pictures.empty()) {
    throw UserError(concat((folder / kPictures).string(),
                           ": not found, nor in a folder Img; it "
                           "holds CelebA's aligned pictures"));
  }
  const PictureNames pictures = {place.pictures.string(), names_of(place.list, split)};
  std::vector<std::string> missing;
  for (const std::string& name : pictures.names) {
    if (!fs::is_regular_file(place.pictures / name)) missing.push_back(printable(name));
  }
  if (!missing.empty()) {
    throw UserError(concat(place.pictures.string(), ": lacks ", missing.size(), " of ",
                           pictures.names.size(), " pictures that ", place.list.string(),
                           " names: ", list_some(missing, kMostNamed)));
  }
  return pictures;
}

/// PictureShape::fit of an aligned picture: the square around the face, resized.
at::Tensor fit_face(const at::Tensor& picture, std::int64_t size) {
  if (picture.size(1) != kHeight || picture.size(2) != kWidth) {
    throw UserError(concat("is ", picture.size(1), " x ", picture.size(2),
                           " (height x width), not ", kHeight, " x ", kWidth,
                           " as CelebA's aligned pictures are"));
  }
  const at::Tensor face = picture.narrow(1, kCentreRow - kSquare / 2, kSquare)
                              .narrow(2, kCentreColumn - kSquare / 2, kSquare);
  return resize_and_center_crop(face.contiguous(), size);
}

}  // namespace

bool is_celeba(const fs::path& folder) {
  const Place place = find(folder);
  return !place.pictures.empty() && !place.list.empty();
}

Dataset read_celeba(const DataConfig& config, const fs::path& folder, Split split) {
  if (config.channels == 1) throw UserError("data.channels = 1: CelebA is in colour; give 3 or 0");
  const PictureNames pictures = pictures_of(folder, split);
  PictureShape shape;
  shape.size = config.image_size == 0 ? kUsualSize : config.image_size;
  shape.channels = 3;
  shape.fit = &fit_face;
  const PictureImages decoded = read_picture_files(pictures, shape, config.skip_unreadable);
  Dataset dataset;
  dataset.images = decoded.images;
  dataset.conversion = concat("cut the faces out of ", decoded.kept.size(), " pictures of ", kWidth,
                              " x ", kHeight, ", and resized them");
  for (const std::int64_t i : decoded.kept) {
    dataset.file_names.push_back(pictures.names[static_cast<std::size_t>(i)]);
  }
  return dataset;
}

}  // namespace cdm
