// SPDX-License-Identifier: MIT
#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "data/sources.h"

namespace cdm {
namespace {

const char* name_of_type(std::filesystem::file_type type) {
  switch (type) {
    case std::filesystem::file_type::directory:
      return "is a directory";
    case std::filesystem::file_type::fifo:
      return "is a FIFO";
    case std::filesystem::file_type::socket:
      return "is a socket";
    case std::filesystem::file_type::character:
    case std::filesystem::file_type::block:
      return "is a device";
    default:
      return "is no plain file";
  }
}

}  // namespace

void check_data_file(const std::filesystem::path& file) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::regular) return;
  if (status.type() == std::filesystem::file_type::not_found) {
    throw UserError(concat(file.string(), ": cannot be read: not found"));
  }
  if (error) throw UserError(concat(file.string(), ": cannot be read: ", error.message()));
  throw UserError(
      concat(file.string(), ": ", name_of_type(status.type()), "; a plain file is needed"));
}

}  // namespace cdm
