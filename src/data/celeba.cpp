// SPDX-License-Identifier: MIT
// CelebA (Liu et al., 2015) as it is distributed: aligned pictures, 178 pixels wide and 218 high,
// and the official partition into training, validation and test pictures.
#include <sstream>
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

/// list_eval_partition.txt (lines such as "000001.jpg 0") or the same as .csv ("000001.jpg,0" after
/// a line of headings). Empty when there is neither.
fs::path partition_file(const fs::path& folder) {
  for (const char* const extension : {".txt", ".csv"}) {
    fs::path file = folder / (std::string(kPartition) + extension);
    if (fs::is_regular_file(file)) return file;
  }
  return {};
}

/// The names of a split's pictures. The partition file numbers them 0 = train, 1 = validation, 2 =
/// test.
std::vector<std::string> pictures_of(const fs::path& folder, Split split) {
  const fs::path list = partition_file(folder);
  if (list.empty()) {
    throw UserError(
        concat((folder / kPartition).string(),
               ".txt (or .csv): not found; it comes with CelebA, in its folder Eval, and "
               "says which pictures are for training and which for testing"));
  }
  const std::int64_t wanted = split == Split::train ? 0 : 2;
  std::istringstream lines(read_file(list));
  std::vector<std::string> pictures;
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
      throw UserError(concat(list.string(), ":", number, ": '", printable(line),
                             "' must be a file name and 0, 1 or 2"));
    }
    if (part - '0' == wanted) pictures.push_back(name);
  }
  if (pictures.empty()) {
    throw UserError(concat(list.string(), ": names no pictures of partition ", wanted));
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
  return fs::is_directory(folder / kPictures) && !partition_file(folder).empty();
}

Dataset read_celeba(const DataConfig& config, const fs::path& folder, Split split) {
  if (config.channels == 1) throw UserError("data.channels = 1: CelebA is in colour; give 3 or 0");
  const PictureNames pictures = {(folder / kPictures).string(), pictures_of(folder, split)};
  PictureShape shape;
  shape.size = config.image_size == 0 ? kUsualSize : config.image_size;
  shape.channels = 3;
  shape.fit = &fit_face;
  const DecodedPictures decoded = read_picture_files(pictures, shape, config.skip_unreadable);
  Dataset dataset;
  dataset.images = decoded.images;
  for (const std::int64_t i : decoded.kept) {
    dataset.file_names.push_back(pictures.names[static_cast<std::size_t>(i)]);
  }
  return dataset;
}

}  // namespace cdm
