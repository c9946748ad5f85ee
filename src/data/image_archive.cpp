// SPDX-License-Identifier: MIT
// Pictures in archives, read in place. Two kinds of archives differ only in where labels are:
//   EDM's and StyleGAN's .zip: dataset.json, {"labels": [["00000/img00000000.png", 6], ...]} or
//   null WebDataset's .tar: beside KEY.jpg a file KEY.cls that holds the number
// An archive is read twice: first the names and labels, then the pictures, each of which is decoded
// into its place, so that memory holds the images once.
#include "data/image_archive.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/progress.h"
#include "cdm/core/text.h"
#include "cdm/io/image.h"
#include "data/pictures.h"
#include "data/sources.h"
#include "io/archive.h"

namespace cdm {
namespace {

constexpr std::uint64_t kMostPicture = 256U << 20U;  // bytes of a compressed picture
// Pictures that wait to be decoded: their bytes, and their number.
constexpr std::uint64_t kMostBytesAtOnce = 64U << 20U;
constexpr std::size_t kMostAtOnce = 1024;

/// Decodes pictures into their places in a data set, some at a time on all threads.
class Decoder {
 public:
  Decoder(const DataConfig& config, std::int64_t count, const std::string& source)
      : config_(config),
        count_(count),
        progress_(concat("reading ", printable(source)), count, "pictures") {}

  void add(std::int64_t place, std::string where, std::string bytes) {
    waiting_bytes_ += bytes.size();
    waiting_.push_back({place, std::move(where), std::move(bytes)});
    // The first picture may decide the size of all.
    if (!images_.defined()) {
      const at::Tensor first = decode(waiting_.front());
      size_ = config_.image_size == 0 ? first.size(1) : config_.image_size;
      fit_picture(first, config_, size_, waiting_.front().where);  // before memory for all is taken
      images_ = at::empty({count_, first.size(0), size_, size_}, at::kByte);
    }
    if (waiting_bytes_ >= kMostBytesAtOnce || waiting_.size() >= kMostAtOnce) flush();
  }

  at::Tensor finish() {
    flush();
    return own_channels(images_, config_);
  }

 private:
  struct Waiting {
    std::int64_t place;
    std::string where, bytes;
  };

  at::Tensor decode(const Waiting& picture) const {
    return decode_image(picture.bytes, channels_to_decode(config_), picture.where);
  }

  void flush() {
    // The error of the first picture is thrown, whichever thread is first.
    std::vector<std::string> errors(waiting_.size());
    const auto count = static_cast<std::int64_t>(waiting_.size());
    at::parallel_for(0, count, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) {
        const Waiting& picture = waiting_[static_cast<std::size_t>(i)];
        try {
          images_[picture.place].copy_(fit_picture(decode(picture), config_, size_, picture.where));
        } catch (const UserError& error) {
          errors[static_cast<std::size_t>(i)] = error.what();
        }
      }
    });
    for (const std::string& error : errors) {
      if (!error.empty()) throw UserError(error);
    }
    done_ += count;
    progress_.update(done_);
    waiting_.clear();
    waiting_bytes_ = 0;
  }

  const DataConfig& config_;
  std::int64_t count_, size_ = 0, done_ = 0;
  at::Tensor images_;
  std::vector<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  Progress progress_;
};

}  // namespace

Dataset read_image_archive(const DataConfig& config, const std::filesystem::path& path) {
  const std::vector<std::filesystem::path> files = archives_of(path);
  std::vector<ArchivePictures> contents;
  std::int64_t count = 0, labelled = 0;
  std::string without_label;
  for (const std::filesystem::path& file : files) {
    contents.push_back(list_archive(file));
    for (const auto& [name, label] : contents.back()) {
      ++count;
      if (label) {
        ++labelled;
      } else if (without_label.empty()) {
        without_label = concat(file.string(), ": '", printable(name), "'");
      }
    }
  }
  if (count == 0) throw UserError(concat(path.string(), ": holds no pictures"));
  if (labelled != 0 && labelled != count) {
    throw UserError(concat(without_label, ": has no label, though ", labelled, " of ", count,
                           " pictures have one"));
  }

  Dataset dataset;
  Decoder decoder(config, count, path.string());
  std::vector<std::int64_t> labels;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::unordered_map<std::string, std::int64_t> places;
    for (const auto& [name, label] : contents[i]) {
      places.emplace(name, first++);
      if (label) labels.push_back(*label);
    }
    std::size_t found = 0;
    for (ArchiveReader archive(files[i]); archive.next();) {
      const auto place = places.find(archive.name());
      if (place == places.end()) continue;
      ++found;
      decoder.add(place->second, archive.where(), archive.read(kMostPicture));
    }
    if (found != contents[i].size()) {
      throw UserError(concat(files[i].string(), ": was changed while it was read"));
    }
  }
  dataset.images = decoder.finish();
  if (labelled != 0) dataset.labels = at::tensor(labels, at::kLong);
  return dataset;
}

}  // namespace cdm
