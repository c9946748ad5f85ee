// SPDX-License-Identifier: MIT
#include "data/pictures.h"

#include <ATen/ops/equal.h>

#include <algorithm>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/io/image.h"

namespace cdm {
namespace {

// The largest ratio of longer to shorter side. Resizing keeps the ratio, and takes memory for it.
constexpr std::int64_t kMostStretch = 64;

}  // namespace

std::int64_t channels_to_decode(const DataConfig& config) {
  return config.channels == 0 ? 3 : config.channels;
}

at::Tensor fit_picture(const at::Tensor& picture, const DataConfig& config, std::int64_t size,
                       const std::string& source) {
  const std::int64_t height = picture.size(1), width = picture.size(2);
  if (config.image_size != 0) {
    if (std::max(height, width) > kMostStretch * std::min(height, width)) {
      throw UserError(concat(source, ": is ", height, " x ", width,
                             " (height x width): too long and narrow to be cut to a square"));
    }
    return resize_and_center_crop(picture, size);
  }
  if (height != size || width != size) {
    throw UserError(concat(source, ": is ", height, " x ", width, " (height x width), not ", size,
                           " x ", size, " as the first needs; set data.image_size to resize all"));
  }
  return picture;
}

at::Tensor own_channels(const at::Tensor& images, const DataConfig& config) {
  if (config.channels != 0) return images;
  const at::Tensor red = images.narrow(1, 0, 1);
  const bool is_grey =
      at::equal(red, images.narrow(1, 1, 1)) && at::equal(red, images.narrow(1, 2, 1));
  return is_grey ? red.contiguous() : images;
}

}  // namespace cdm
