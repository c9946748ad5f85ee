// SPDX-License-Identifier: MIT
// A fixture for tests of folders of pictures.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <filesystem>
#include <vector>

#include "cdm/io/image.h"
#include "dataset_test.h"

namespace cdm::test {

class ImageFolderTest : public DatasetTest {
 protected:
  ImageFolderTest() { use(DataKind::image_folder, folder_); }
  /// A picture of one grey or colour.
  void paint(const std::filesystem::path& file, int red, int green, int blue,
             std::int64_t height = 4, std::int64_t width = 4) const {
    const at::Tensor colour = at::tensor({red, green, blue}, at::kByte).view({3, 1, 1});
    std::filesystem::create_directories((folder_ / file).parent_path());
    write_png(folder_ / file, colour.expand({3, height, width}));
  }
  /// The red of each image's first pixel.
  static std::vector<int> reds_of(const Dataset& dataset) {
    std::vector<int> found;
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      found.push_back(dataset.images[i][0][0][0].item<int>());
    }
    return found;
  }
  /// Those of all pictures of the folder, or of those of one split.
  std::vector<int> reds(Split split = Split::train) const { return reds_of(load(split)); }
  /// What loading logs.
  std::string log_of(Split split = Split::train) const {
    testing::internal::CaptureStderr();
    load(split);
    return testing::internal::GetCapturedStderr();
  }
};

/// Both splits are the whole folder, as for `--data`. Otherwise pictures are held out for the test
/// split, which test_hold_out.cpp tests.
class WholeFolderTest : public ImageFolderTest {
 protected:
  WholeFolderTest() { config_.test_path = config_.path; }
};

}  // namespace cdm::test
