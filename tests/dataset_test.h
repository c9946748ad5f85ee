// SPDX-License-Identifier: MIT
// A fixture for tests of data sets.
#pragma once

#include <filesystem>
#include <string>

#include "cdm/data/dataset.h"
#include "files.h"

namespace cdm::test {

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
