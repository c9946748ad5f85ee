// SPDX-License-Identifier: MIT
// What no key can say alone.
#pragma once

#include <string>

#include "cdm/config/config.h"
#include "config/written_keys.h"

namespace cdm {

/// Throws UserError when values do not fit one another. The message says where the value was
/// written, or names `file` for a default.
void check_together(const RunConfig& config, const std::string& file, const WrittenKeys& written);

}  // namespace cdm
