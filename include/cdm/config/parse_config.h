// SPDX-License-Identifier: MIT
// Reading a configuration from a text instead of a file.
#pragma once

#include <string>
#include <vector>

#include "cdm/config/config.h"

namespace cdm {

/// The configuration in `text`, which holds what a file for load_config() holds. Messages begin
/// with `source`. Relative data paths start at the working directory. Throws as load_config() does.
RunConfig parse_config(const std::string& text, const std::string& source,
                       const std::vector<std::string>& overrides = {},
                       Stage stage = Stage::training);

}  // namespace cdm
