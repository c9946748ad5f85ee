// SPDX-License-Identifier: MIT
// Symbolic links to something that is not there. To the system they look like a name that does not
// exist, but something did exist: often on a volume that is not mounted now.
#pragma once

#include <filesystem>

namespace cdm {

/// Throws UserError, naming the link and where it leads, when `path` is a symbolic link to
/// something that does not exist.
void refuse_dead_link(const std::filesystem::path& path);

}  // namespace cdm
