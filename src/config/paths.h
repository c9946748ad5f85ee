// SPDX-License-Identifier: MIT
// Paths as values of configuration keys.
#pragma once

#include <filesystem>
#include <string>

namespace cdm {

/// The path with `~` at its beginning replaced by the home folder, $NAME and ${NAME} by the
/// variables of the environment, and $$ by $. Throws UserError, with `what` before the reason, for
/// a variable that is not set and for a ${ without a name and a }.
std::string expand_path(const std::string& path, const std::string& what);

/// The text that expand_path() turns into `path`.
std::string escape_path(const std::string& path);

/// `path` as an absolute path. A relative path begins at `named`, the folder of the configuration
/// as it was named. If nothing is there, but something at the same path from `real`, the folder
/// that the configuration lies in once links are followed, it is that.
std::string absolute_path(const std::string& path, const std::filesystem::path& named,
                          const std::filesystem::path& real);

}  // namespace cdm
