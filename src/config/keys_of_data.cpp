// SPDX-License-Identifier: MIT
// The keys of the section data: where images come from, and how training changes them.
#include <functional>
#include <string>

#include "config/declare_keys.h"
#include "config/paths.h"

namespace cdm {
namespace {

/// Whether a mirrored image of such data is as likely as the image itself.
bool may_be_mirrored(DataKind kind) {
  switch (kind) {
    case DataKind::mnist:  // a mirrored digit is no digit
    case DataKind::emnist:
    case DataKind::toy:  // the density is a given one
      return false;
    case DataKind::fashion_mnist:
    case DataKind::cifar10:
    case DataKind::cifar100:
    case DataKind::celeba:
    case DataKind::npz:
    case DataKind::image_folder:
    case DataKind::image_archive:
      break;
  }
  return true;
}

/// How a path is written, so that reading it gives the same path.
std::function<std::string(const RunConfig&)> path_text(std::string DataConfig::*path) {
  return [path](const RunConfig& config) { return to_text(escape_path(config.data.*path)); };
}

}  // namespace

void declare_data(std::vector<Key>& table) {
  Section<DataConfig> data(table, "data", &RunConfig::data);
  data.key("kind", &DataConfig::kind, DataKind::fashion_mnist, anything(),
           "format of the data set; toy = data drawn from a known density, see data.toy")
      .may_set_afterwards();
  data.key("path", &DataConfig::path, "", anything(),
           "directory or file (npz, image_archive); relative paths start at the folder of the "
           "configuration file; empty = where the system installs the data set")
      .only(for_data_from_files())
      .may_change()
      .may_set_afterwards()
      .text = path_text(&DataConfig::path);
  data.key("test_path", &DataConfig::test_path, "", anything(),
           "directory or file of the test split, where it cannot be found through data.path (npz, "
           "image_archive; an image folder without train/ and test/ needs none: a tenth of its "
           "pictures is held out)")
      .only(for_stored_data())
      .may_change()
      .may_set_afterwards()
      .text = path_text(&DataConfig::test_path);
  data.key("image_size", &DataConfig::image_size, 0, range(0, 4096),
           "width and height of the images in pixels; 0 = as in the data set (celeba: 64); images "
           "of image_folder, image_archive and celeba are resized to it");
  data.key("channels", &DataConfig::channels, 0, range(0, 3),
           "1 = grey, 3 = RGB, 0 = as in the data set");
  data.key("skip_unreadable", &DataConfig::skip_unreadable, 0, range(0, 1e8),
           "at most so many pictures of each split are left out, with a warning, if they are "
           "damaged or cannot be read; more are an error")
      .only(for_data_of_pictures())
      .may_change()
      .may_set_afterwards();
  data.key("augment", &DataConfig::augment, 0.0, range(0, 0.5),
           "p: mirror, turn by quarters and move (see data.shift) training images, each with "
           "probability p, and tell the network how; samples and scores are those of images that "
           "were not changed; 0 = not")
      .only(for_stored_data());
  data.key("shift", &DataConfig::shift, 0, range(0, 4096),
           "move training images by up to so many pixels in each direction, and repeat the border; "
           "with data.augment, only with its probability, and the network is told")
      .only(for_stored_data());
  data.key("horizontal_flip", &DataConfig::horizontal_flip, true, anything(),
           "mirror each training image left to right with probability 1/2")
      .default_from("false for mnist, emnist and toy, and with data.augment, else true",
                    [](RunConfig& config) {
                      config.data.horizontal_flip =
                          may_be_mirrored(config.data.kind) && config.data.augment == 0.0;
                    });
  data.key("dequantize", &DataConfig::dequantize, Dequantization::none, anything(),
           "how 8-bit values u are scaled for training: none = u / 127.5 - 1 | uniform = "
           "(u + U[0, 1)) / 128 - 1, so that the density is learned between the 8-bit values too")
      .only(for_stored_data());
  data.key("toy", &DataConfig::toy, ToyKind::uniform, anything(),
           "the known density: uniform = U[-g/2, g/2]^d | gaussian = with the mean and covariance "
           "of the images in data.path | peaks = two narrow Gaussians, at -1/2 and at 1/2 in every "
           "dimension")
      .only(for_toy_data());
  data.key("toy_width", &DataConfig::toy_width, 1.0, range(1e-6, 1e3),
           "uniform: the width g; peaks: the standard deviation of each Gaussian")
      .only(for_toy_data())
      .only(for_toy({ToyKind::uniform, ToyKind::peaks}));
  data.key("toy_images", &DataConfig::toy_images, 50000, range(1, 1e8),
           "number of training images drawn; the test split has a fifth as many")
      .only(for_toy_data());
}

}  // namespace cdm
