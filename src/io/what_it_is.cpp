// SPDX-License-Identifier: MIT
#include "io/what_it_is.h"

#include <algorithm>
#include <system_error>

#include "cdm/core/text.h"

namespace cdm {

std::string what_it_is_instead(std::string_view bytes) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  constexpr std::size_t kEnough = 64;
  if (bytes.starts_with("version https://git-lfs")) {
    return "is a Git LFS pointer, not the file that it stands for: run git lfs pull";
  }
  if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  const std::string start = lower_case(bytes.substr(0, kEnough));
  for (const std::string_view page : {"<!doctype html", "<html", "<head", "<!--"}) {
    if (start.starts_with(page)) {
      return "is an HTML page, not the file that it is named after: open the address in a browser "
             "to see why the download gave a page";
    }
  }
  if (start.starts_with("<?xml")) {
    return "is an XML text, often a server's error message, not the file that it is named after";
  }
  return "";
}

std::string why_not_a_file(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  switch (status.type()) {
    case fs::file_type::regular:
      return "";
    case fs::file_type::directory:
      return "is a folder";
    case fs::file_type::fifo:
      return "is a FIFO (named pipe)";
    case fs::file_type::socket:
      return "is a socket";
    case fs::file_type::block:
    case fs::file_type::character:
      return "is a device";
    case fs::file_type::not_found: {
      const fs::path target = fs::read_symlink(path, error);
      return error ? "No such file or directory"
                   : concat("is a link to ", target.string(), ", which is not there");
    }
    default:
      return concat("cannot be read: ", error.message());
  }
}

}  // namespace cdm
