// SPDX-License-Identifier: MIT
#include "io/what_it_is.h"

#include <algorithm>
#include <cctype>

namespace cdm {

std::string what_it_is_instead(std::string_view bytes) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  constexpr std::size_t kEnough = 64;
  if (bytes.starts_with("version https://git-lfs")) {
    return "is a Git LFS pointer, not the file that it stands for: run git lfs pull";
  }
  if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  std::string start(bytes.substr(0, kEnough));
  std::transform(start.begin(), start.end(), start.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
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

}  // namespace cdm
