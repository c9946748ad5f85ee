// SPDX-License-Identifier: MIT
#include "core/dead_link.h"

#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {

void refuse_dead_link(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_symlink(path, error)) return;
  if (std::filesystem::exists(path, error) || error) return;
  throw UserError(concat(path.string(), ": is a link to ",
                         std::filesystem::read_symlink(path, error).string(),
                         ", which does not exist; is a volume not mounted?"));
}

}  // namespace cdm
