// SPDX-License-Identifier: MIT
// Images in an .npz file, as written by cdm-sample and by the evaluation suite of ADM (Dhariwal and
// Nichol, 2021).
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/io/npz.h"
#include "data/sources.h"

namespace cdm {
namespace {

/// Whether a shape is that of square images [N, C, H, W], and cannot be [N, H, W, C].
bool has_channels_first(at::IntArrayRef shape) {
  const auto are_channels = [](std::int64_t size) { return size == 1 || size == 3; };
  return are_channels(shape[1]) && shape[2] == shape[3] && !are_channels(shape[3]);
}

}  // namespace

Dataset read_npz_images(const std::filesystem::path& file) {
  const std::string name = file.string();
  const at::Tensor stored = read_npz(file, "arr_0");
  if (stored.dim() != 4 || stored.scalar_type() != at::kByte) {
    throw UserError(concat(name, ": arr_0 is ", stored.scalar_type(), " ", stored.sizes(),
                           "; it must be uint8 [images, height, width, channels]"));
  }
  if (has_channels_first(stored.sizes())) {
    throw UserError(concat(name, ": arr_0 is ", stored.sizes(),
                           ", with the channels before height and width; save "
                           "images.transpose(0, 2, 3, 1), which is [images, height, width, "
                           "channels]"));
  }
  Dataset dataset;
  dataset.images = stored.permute({0, 3, 1, 2}).contiguous();
  const std::vector<std::string> arrays = npz_names(file);
  if (std::find(arrays.begin(), arrays.end(), "arr_1") != arrays.end()) {
    const at::Tensor labels = read_npz(file, "arr_1");
    if (labels.dim() != 1 || !at::isIntegralType(labels.scalar_type(), /*includeBool=*/false)) {
      throw UserError(concat(name, ": arr_1 is ", labels.scalar_type(), " ", labels.sizes(),
                             "; it must hold one integer label per image"));
    }
    dataset.labels = labels.to(at::kLong);
    check_labels(name, dataset.labels, dataset.size(), std::numeric_limits<std::int32_t>::max());
  }
  return dataset;
}

}  // namespace cdm
