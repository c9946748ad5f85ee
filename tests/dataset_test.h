// SPDX-License-Identifier: MIT
// What tests of data sets share.
#pragma once

#include <filesystem>
#include <string>

#include "cdm/data/dataset.h"
#include "files.h"

namespace cdm::test {

/// Loads what config_ says, from files of the test's own.
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
