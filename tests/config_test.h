// SPDX-License-Identifier: MIT
// Helpers for tests of configurations.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "files.h"

namespace cdm::test {

/// A folder with a configuration that each test writes.
class ConfigTest : public FilesTest {
 protected:
  RunConfig load(const std::string& yaml, const std::vector<std::string>& overrides = {}) const {
    overwrite(file_, yaml);
    return load_config(file_, overrides);
  }
  /// The message that refuses this file.
  std::string refusal(const std::string& yaml,
                      const std::vector<std::string>& overrides = {}) const {
    return user_error([&] { load(yaml, overrides); });
  }
  std::string at_line(int line) const { return concat(file_.string(), ":", line, ": "); }

  std::filesystem::path file_ = folder_ / "a.yaml";
};

}  // namespace cdm::test
