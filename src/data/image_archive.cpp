// SPDX-License-Identifier: MIT
// Pictures in archives, read in place. Two kinds of archives differ only in where labels are:
//   EDM's and StyleGAN's .zip: dataset.json, {"labels": [["00000/img00000000.png", 6], ...]}, or
//     {"labels": null}
//   WebDataset's .tar: beside KEY.jpg a file KEY.cls that holds the number
// An archive is read twice: first the names and labels, then the pictures, each of which is decoded
// into its place, so that memory holds the images once.
#include "data/image_archive.h"

#include <ATen/ops/tensor.h>

#include <cstddef>
#include <iterator>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "data/list_folder.h"
#include "data/read_pictures.h"
#include "data/sources.h"
#include "io/archive.h"
#include "io/decode.h"

namespace cdm {
namespace {

constexpr std::uint64_t kMostPicture = 256U << 20U;  // bytes of a compressed picture
constexpr std::size_t kMostAtOnce = 64U << 20U;      // bytes of pictures that wait to be decoded
constexpr std::size_t kMostPicturesAtOnce = 1024;

/// What the archives hold, in the order of the data set.
struct Contents {
  std::vector<ArchivePictures> archives;
  PictureNames pictures;                // names for messages
  std::vector<std::string> file_names;  // "a.png", or "shard.tar/a.png" if there are several
  std::vector<std::int64_t> labels;     // empty when there are none
};

Contents contents_of(const std::filesystem::path& path,
                     const std::vector<std::filesystem::path>& files) {
  Contents contents;
  contents.pictures = {path.string(), {}, ": "};
  std::string without_label;
  for (const std::filesystem::path& file : files) {
    const std::string name_of_file = file.filename().string();
    ArchiveListing listing = list_archive(file);
    say_passed_over(file.string(), listing.passed_over);
    contents.archives.push_back(std::move(listing.pictures));
    for (const auto& [name, label] : contents.archives.back()) {
      contents.pictures.names.push_back(
          files.size() == 1 ? in_quotes(name) : concat(name_of_file, ": ", in_quotes(name)));
      contents.file_names.push_back(files.size() == 1 ? name : concat(name_of_file, "/", name));
      if (label) {
        contents.labels.push_back(*label);
      } else if (without_label.empty()) {
        without_label = concat(file.string(), ": ", in_quotes(name));
      }
    }
  }
  const std::size_t count = contents.file_names.size(), labelled = contents.labels.size();
  if (count == 0) throw UserError(concat(path.string(), ": holds no pictures"));
  if (labelled != 0 && labelled != count) {
    throw UserError(concat(without_label, ": has no label, though ", labelled, " of ", count,
                           " pictures have one"));
  }
  return contents;
}

/// Gathers the bytes of pictures, and has some decoded at a time.
class Gathered {
 public:
  explicit Gathered(PictureReader& reader) : reader_(reader) {}

  void add(std::int64_t number, const std::string& where, std::string bytes) {
    bytes_ += bytes.size();
    numbers_.push_back(number);
    decode_.push_back([where, bytes = std::move(bytes)](std::int64_t channels, const auto& admit) {
      return decode_picture(bytes, channels, {where, admit});
    });
    if (bytes_ >= kMostAtOnce || numbers_.size() >= kMostPicturesAtOnce) flush();
  }

  void flush() {
    reader_.read(numbers_, decode_);
    numbers_.clear();
    decode_.clear();
    bytes_ = 0;
  }

 private:
  PictureReader& reader_;
  std::vector<std::int64_t> numbers_;
  std::vector<DecodePicture> decode_;
  std::size_t bytes_ = 0;
};

/// Reads the pictures of one archive, of which the first has the number `first`.
void read_archive(const std::filesystem::path& file, const ArchivePictures& pictures,
                  std::int64_t first, const PictureNames& names, Gathered& gathered) {
  std::unordered_map<std::string, std::int64_t> numbers;
  for (const auto& [name, label] : pictures) numbers.emplace(name, first++);
  std::size_t found = 0;
  for (ArchiveReader archive(file); archive.next();) {
    const auto number = numbers.find(archive.name());
    if (number == numbers.end()) continue;
    ++found;
    gathered.add(number->second, names.whole(static_cast<std::size_t>(number->second)),
                 archive.read(kMostPicture));
  }
  if (found != pictures.size()) {
    throw UserError(concat(file.string(), ": was changed while it was read"));
  }
}

}  // namespace

Dataset read_image_archive(const DataConfig& config, const std::filesystem::path& path) {
  const std::vector<std::filesystem::path> files = archives_of(path);
  const Contents contents = contents_of(path, files);
  PictureReader reader(contents.pictures, shape_for(config));
  Gathered gathered(reader);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    read_archive(files[i], contents.archives[i], first, contents.pictures, gathered);
    first += std::ssize(contents.archives[i]);
  }
  gathered.flush();
  const PictureImages decoded = reader.finish(config.skip_unreadable);
  Dataset dataset;
  dataset.images = decoded.images;
  dataset.conversion = decoded.conversion;
  std::vector<std::int64_t> labels;
  for (const std::int64_t i : decoded.kept) {
    const auto kept = static_cast<std::size_t>(i);
    dataset.file_names.push_back(contents.file_names[kept]);
    if (!contents.labels.empty()) labels.push_back(contents.labels[kept]);
  }
  if (!labels.empty()) dataset.labels = at::tensor(labels, at::kLong);
  return dataset;
}

}  // namespace cdm
