// SPDX-License-Identifier: MIT
#include <array>
#include <fstream>
#include <string_view>
#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "data/sources.h"
#include "io/what_it_is.h"

namespace cdm {

bool is_there(const std::filesystem::path& path) {
  std::error_code unknown;
  return std::filesystem::symlink_status(path, unknown).type() !=
         std::filesystem::file_type::not_found;
}

void check_data_file(const std::filesystem::path& file) {
  if (!is_there(file)) throw UserError(concat(file.string(), ": not found"));
  // Opening a FIFO would wait for a writer, and a device may have no end.
  if (const std::string reason = why_not_a_file(file); !reason.empty()) {
    throw UserError(concat(file.string(), ": ", reason, "; a plain file is needed"));
  }
  std::array<char, 256> start = {};
  std::ifstream in(file, std::ios::binary);
  in.read(start.data(), start.size());
  const std::string other =
      what_it_is_instead(std::string_view(start.data(), static_cast<std::size_t>(in.gcount())));
  if (!other.empty()) throw UserError(concat(file.string(), ": ", other));
}

}  // namespace cdm
