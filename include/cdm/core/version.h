// SPDX-License-Identifier: MIT
// The version of this build, and of what it was built with.
#pragma once

#include <string>

namespace cdm {

/// The text of --version, one line each: the project's version, the git revision, and the versions
/// of LibTorch and CUDA that it was built with.
std::string version_text();

/// The git revision that was built, followed by "-dirty" when tracked files differed from it;
/// "unknown" when it was not built from a git repository.
std::string revision();

}  // namespace cdm
