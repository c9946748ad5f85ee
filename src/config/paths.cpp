// SPDX-License-Identifier: MIT
#include "config/paths.h"

#include <cstdlib>
#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

bool is_in_a_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string variable(const std::string& name, const std::string& what) {
  const char* const value = std::getenv(name.c_str());
  if (value != nullptr && *value != '\0') return value;
  throw UserError(concat(what, ": the environment variable ", printable(name), " is ",
                         value == nullptr ? "not set" : "empty"));
}

}  // namespace

std::string expand_path(const std::string& path, const std::string& what) {
  std::string out;
  std::size_t i = 0;
  if (path == "~" || path.starts_with("~/")) {
    out = variable("HOME", what);
    i = 1;
  }
  while (i < path.size()) {
    if (path[i] != '$') {
      out += path[i++];
      continue;
    }
    ++i;
    const bool in_braces = i < path.size() && path[i] == '{';
    if (in_braces) ++i;
    const std::size_t begin = i;
    while (i < path.size() && is_in_a_name(path[i])) ++i;
    const std::string name = path.substr(begin, i - begin);
    if (in_braces && (name.empty() || i == path.size() || path[i++] != '}')) {
      throw UserError(concat(what, ": a variable is written $NAME or ${NAME}, and $$ is a $"));
    }
    if (!name.empty()) {
      out += variable(name, what);
    } else {
      out += '$';
      if (i < path.size() && path[i] == '$') ++i;
    }
  }
  return out;
}

std::string escape_path(const std::string& path) {
  std::string out = path.starts_with('~') ? "./" : "";
  for (const char c : path) out += c == '$' ? std::string("$$") : std::string(1, c);
  return out;
}

std::string absolute_path(const std::string& path, const std::filesystem::path& named,
                          const std::filesystem::path& real) {
  const std::filesystem::path first = (named / path).lexically_normal();
  const std::filesystem::path second = (real / path).lexically_normal();
  std::error_code none;
  const bool is_second =
      !std::filesystem::exists(first, none) && std::filesystem::exists(second, none);
  return is_second ? second.string() : first.string();
}

}  // namespace cdm
