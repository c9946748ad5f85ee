// SPDX-License-Identifier: MIT
// Checks that need the values of several keys.
#pragma once

#include <string>

#include "cdm/config/config.h"
#include "config/written_keys.h"

namespace cdm {

/// Throws UserError when values contradict each other. The message names the place where the value
/// was written (one of `written`), or `file` when the value is a default.
void check_together(const RunConfig& config, const std::string& file, const WrittenKeys& written);

}  // namespace cdm
