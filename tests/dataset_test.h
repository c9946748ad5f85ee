// SPDX-License-Identifier: MIT
// A fixture for tests of data sets.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

#include <filesystem>
#include <string>

#include "cdm/data/dataset.h"
#include "files.h"

namespace cdm::test {

/// uint8 [count, channels, size, size] with different numbers everywhere.
inline at::Tensor pixels(std::int64_t count, std::int64_t channels, std::int64_t size) {
  return at::arange(count * channels * size * size, at::kLong)
      .mul(41)
      .remainder(251)
      .to(at::kByte)
      .view({count, channels, size, size});
}

inline std::string bytes_of(const at::Tensor& array) {
  const at::Tensor whole = array.to(at::kByte).contiguous();
  return {static_cast<const char*>(whole.const_data_ptr()), whole.nbytes()};
}

/// Loads the data set of `config_`, whose files a test writes into its own folder.
class DatasetTest : public FilesTest {
 protected:
  Dataset load(Split split = Split::train) const { return load_dataset(config_, split); }
  std::string refusal(Split split = Split::train) const {
    return user_error([&] { load(split); });
  }
  void use(DataKind kind, const std::filesystem::path& path) {
    config_ = {};
    config_.kind = kind;
    config_.path = path.string();
  }

  DataConfig config_;
};

}  // namespace cdm::test
