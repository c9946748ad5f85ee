// SPDX-License-Identifier: MIT
// What was built, from what and with what.
#pragma once

#include <string>

namespace cdm {

/// Several lines for --version: project version, git revision, LibTorch and CUDA built with.
std::string version_text();

/// The git revision, followed by "-dirty" when tracked files differed from it; "unknown" outside
/// git.
std::string revision();

}  // namespace cdm
