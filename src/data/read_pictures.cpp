// SPDX-License-Identifier: MIT
#include "data/read_pictures.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/progress.h"
#include "cdm/core/text.h"
#include "cdm/io/image.h"
#include "data/list_folder.h"

namespace cdm {
namespace {

// The largest ratio of longer to shorter side. Resizing keeps the ratio, and takes memory for it.
constexpr std::int64_t kMostStretch = 64;
constexpr std::int64_t kAtOnce = 128;  // pictures between two updates of the progress line
constexpr std::size_t kNamed = 10;     // pictures in a message

/// Bounds the pixels that all threads decode at the same time.
class PixelBudget {
 public:
  void take(std::uint64_t pixels) {
    std::unique_lock<std::mutex> lock(mutex_);
    freed_.wait(lock, [&] { return taken_ + pixels <= kMaxPixels; });
    taken_ += pixels;
  }
  void give_back(std::uint64_t pixels) {
    const std::lock_guard<std::mutex> lock(mutex_);
    taken_ -= pixels;
    freed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  std::uint64_t taken_ = 0;
};

/// What one picture took from the budget.
class PixelShare {
 public:
  explicit PixelShare(PixelBudget& budget) : budget_(budget) {}
  ~PixelShare() { budget_.give_back(pixels_); }
  PixelShare(const PixelShare&) = delete;
  PixelShare& operator=(const PixelShare&) = delete;

  void take(std::uint64_t pixels) {
    budget_.take(pixels);
    pixels_ += pixels;
  }

 private:
  PixelBudget& budget_;
  std::uint64_t pixels_ = 0;
};

/// What was found about one picture.
struct Finding {
  std::string unreadable, misfit;  // what is wrong with it, without its name; empty if nothing is
  std::int64_t height = 0, width = 0;
  bool has_colour = false;

  bool is_good() const { return unreadable.empty() && misfit.empty(); }
};

/// PictureShape::fit that resizes the shorter side and cuts out the middle.
at::Tensor fit_by_resizing(const at::Tensor& picture, std::int64_t size) {
  const std::int64_t height = picture.size(1), width = picture.size(2);
  if (std::max(height, width) > kMostStretch * std::min(height, width)) {
    throw UserError(concat("is ", height, " x ", width,
                           " (height x width): too long and narrow to be cut to a square"));
  }
  return resize_and_center_crop(picture, size);
}

/// PictureShape::fit for pictures that must have that size.
at::Tensor fit_unchanged(const at::Tensor& picture, std::int64_t size) {
  const std::int64_t height = picture.size(1), width = picture.size(2);
  if (height != size || width != size) {
    throw UserError(concat("is ", height, " x ", width, " (height x width), not ", size, " x ",
                           size, " as the first needs"));
  }
  return picture;
}

}  // namespace

class PictureReader::Impl {
 public:
  Impl(PictureNames names, PictureShape shape)
      : names_(std::move(names)),
        shape_(std::move(shape)),
        channels_(shape_.channels == 0 ? 3 : shape_.channels),
        size_(shape_.size),
        findings_(names_.names.size()),
        progress_(concat("reading ", in_one_line(names_.place)), count(), "pictures") {}

  void read(const std::vector<std::int64_t>& numbers, const std::vector<DecodePicture>& decode) {
    // The first picture that can be read decides about the size of all.
    for (std::size_t k = 0; k < numbers.size() && size_ == 0; ++k) {
      PixelShare share(budget_);
      const auto picture = try_to_decode(static_cast<std::size_t>(numbers[k]), decode[k], share);
      if (!picture) continue;
      size_ = picture->pixels.size(1);
      // Memory for all pictures of this size is about to be allocated.
      if (picture->pixels.size(2) != size_) {
        throw UserError(concat(in_one_line(names_.whole(static_cast<std::size_t>(numbers[k]))),
                               ": is ", size_, " x ", picture->pixels.size(2),
                               " (height x width), no square; data.image_size resizes all"));
      }
    }
    if (size_ != 0) {
      if (!images_.defined()) {
        images_ = at::empty({count(), channels_, size_, size_}, at::kByte);
      }
      at::parallel_for(0, std::ssize(numbers), 1, [&](std::int64_t begin, std::int64_t end) {
        for (auto k = static_cast<std::size_t>(begin); k < static_cast<std::size_t>(end); ++k) {
          read_one(static_cast<std::size_t>(numbers[k]), decode[k]);
        }
      });
    }
    read_ += std::ssize(numbers);
    progress_.update(read_);
  }

  PictureImages finish(std::int64_t most_skipped) const {
    judge(most_skipped);
    PictureImages pictures;
    pictures.images = kept_images(pictures.kept);
    pictures.conversion = conversion(pictures.kept);
    return pictures;
  }

 private:
  std::int64_t count() const { return std::ssize(findings_); }

  /// The picture; nothing when it cannot be read.
  std::optional<Picture> try_to_decode(std::size_t i, const DecodePicture& decode,
                                       PixelShare& share) {
    try {
      return decode(channels_, [&](std::uint64_t pixels) { share.take(pixels); });
    } catch (const UserError& error) {
      std::string message = error.what();
      const std::string name = names_.whole(i) + ": ";
      if (message.starts_with(name)) message.erase(0, name.size());
      findings_[i].unreadable = message;
      return std::nullopt;
    }
  }

  void read_one(std::size_t i, const DecodePicture& decode) {
    PixelShare share(budget_);
    const std::optional<Picture> picture = try_to_decode(i, decode, share);
    if (!picture) return;
    Finding& finding = findings_[i];
    finding.height = picture->pixels.size(1);
    finding.width = picture->pixels.size(2);
    finding.has_colour = picture->has_colour;
    try {
      images_[static_cast<std::int64_t>(i)].copy_(shape_.fit(picture->pixels, size_));
    } catch (const UserError& error) {
      finding.misfit = error.what();
    }
  }

  /// "a.png (reason), b.png (reason), and 3 more": those of which `reason` is not empty.
  std::string list(std::string Finding::*reason) const {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < findings_.size(); ++i) {
      const std::string& why = findings_[i].*reason;
      if (why.empty()) continue;
      parts.push_back(concat(in_one_line(names_.names[i]), " (", in_one_line(why), ")"));
    }
    return list_some(std::move(parts), kNamed);
  }

  std::int64_t count_with(std::string Finding::*reason) const {
    return std::count_if(findings_.begin(), findings_.end(),
                         [&](const Finding& finding) { return !(finding.*reason).empty(); });
  }

  UserError refusal(std::string Finding::*reason, std::int64_t bad, const char* what,
                    const std::string& remedy) const {
    if (bad == 1) {  // named like any other file that something is wrong with
      std::size_t i = 0;
      while ((findings_[i].*reason).empty()) ++i;
      return UserError(
          concat(in_one_line(names_.whole(i)), ": ", in_one_line(findings_[i].*reason), remedy));
    }
    return UserError(concat(in_one_line(names_.place), ": ", bad, " of ", findings_.size(),
                            " pictures ", what, ": ", list(reason), remedy));
  }

  void judge(std::int64_t most_skipped) const {
    const std::int64_t unreadable = count_with(&Finding::unreadable);
    const auto all = static_cast<std::int64_t>(findings_.size());
    if (unreadable > most_skipped || unreadable == all) {
      throw refusal(&Finding::unreadable, unreadable, "cannot be read",
                    unreadable == all
                        ? ""
                        : concat("; data.skip_unreadable = ", unreadable,
                                 unreadable == 1 ? " leaves it out" : " leaves them out"));
    }
    if (const std::int64_t misfits = count_with(&Finding::misfit); misfits > 0) {
      throw refusal(&Finding::misfit, misfits, "do not fit",
                    shape_.size == 0 ? "; data.image_size resizes all to one size" : "");
    }
    if (unreadable > 0) {
      log_warning(concat(in_one_line(names_.place), ": left out ", unreadable, " of ", all,
                         " pictures, which cannot be read: ", list(&Finding::unreadable)));
    }
  }

  /// The images of the pictures that are good, moved together in place.
  at::Tensor kept_images(std::vector<std::int64_t>& kept) const {
    for (std::size_t i = 0; i < findings_.size(); ++i) {
      if (!findings_[i].is_good()) continue;
      const auto from = static_cast<std::int64_t>(i), to = static_cast<std::int64_t>(kept.size());
      if (from != to) images_[to].copy_(images_[from]);
      kept.push_back(from);
    }
    const at::Tensor images = images_.narrow(0, 0, static_cast<std::int64_t>(kept.size()));
    const at::Tensor red = images.narrow(1, 0, 1);
    if (shape_.channels == 0 && at::equal(red, images.narrow(1, 1, 1)) &&
        at::equal(red, images.narrow(1, 2, 1))) {
      return red.contiguous();
    }
    return images;
  }

  std::string conversion(const std::vector<std::int64_t>& kept) const {
    const Finding* first_resized = nullptr;
    std::size_t resized = 0, coloured = 0;
    for (const std::int64_t i : kept) {
      const Finding& finding = findings_[static_cast<std::size_t>(i)];
      if (finding.height != size_ || finding.width != size_) {
        if (first_resized == nullptr) first_resized = &finding;
        ++resized;
      }
      if (finding.has_colour) ++coloured;
    }
    std::vector<std::string> parts;
    if (resized > 0) {
      parts.push_back(concat("resized ", resized, " of ", kept.size(), " pictures, the first from ",
                             first_resized->height, " x ", first_resized->width));
    }
    if (shape_.channels == 1 && coloured > 0) {
      parts.push_back(concat("converted ", coloured, " colour pictures to grey"));
    }
    if (shape_.channels == 3 && coloured == 0) {
      parts.push_back(concat("read all ", kept.size(), " pictures, which are grey, as colour"));
    }
    return join(parts, "; ");
  }

  PictureNames names_;
  PictureShape shape_;
  std::int64_t channels_, size_;
  std::vector<Finding> findings_;
  at::Tensor images_;
  PixelBudget budget_;
  Progress progress_;
  std::int64_t read_ = 0;
};

PictureReader::PictureReader(PictureNames names, PictureShape shape)
    : impl_(std::make_unique<Impl>(std::move(names), std::move(shape))) {}

PictureReader::~PictureReader() = default;

void PictureReader::read(const std::vector<std::int64_t>& numbers,
                         const std::vector<DecodePicture>& decode) {
  impl_->read(numbers, decode);
}

PictureImages PictureReader::finish(std::int64_t most_skipped) {
  return impl_->finish(most_skipped);
}

PictureImages read_picture_files(const PictureNames& names, const PictureShape& shape,
                                 std::int64_t most_skipped) {
  PictureReader reader(names, shape);
  const std::int64_t count = std::ssize(names.names);
  for (std::int64_t first = 0; first < count; first += kAtOnce) {
    std::vector<std::int64_t> numbers;
    std::vector<DecodePicture> decode;
    for (std::int64_t i = first; i < std::min(first + kAtOnce, count); ++i) {
      numbers.push_back(i);
      const std::string file = names.whole(static_cast<std::size_t>(i));
      decode.push_back([file](std::int64_t channels, const auto& admit) {
        return read_picture(file, channels, admit);
      });
    }
    reader.read(numbers, decode);
  }
  return reader.finish(most_skipped);
}

PictureShape shape_for(const DataConfig& config) {
  PictureShape shape;
  shape.size = config.image_size;
  shape.channels = config.channels;
  shape.fit = config.image_size == 0 ? &fit_unchanged : &fit_by_resizing;
  return shape;
}

}  // namespace cdm
