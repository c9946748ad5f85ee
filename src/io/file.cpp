// SPDX-License-Identifier: MIT
#include "cdm/io/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "cdm/error.h"
#include "cdm/text.h"

namespace cdm {

void write_atomically(const std::filesystem::path& path,
                      const std::function<void(std::ostream&)>& write) {
  const std::filesystem::path temporary = concat(path.string(), ".tmp-", ::getpid());
  try {
    errno = 0;
    std::ofstream out(temporary, std::ios::binary);
    if (out) write(out);
    out.close();
    if (!out) {
      throw std::runtime_error(concat("cannot write ", path.string(), ": ", std::strerror(errno)));
    }
    sync_to_disk(temporary);
    std::filesystem::rename(temporary, path);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
}

std::string read_file(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw UserError(concat(path.string(), ": is a directory; a file is needed"));
  }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in && in.peek() != std::ifstream::traits_type::eof()) text << in.rdbuf();
  if (in.bad() || !in.is_open()) {
    throw UserError(concat(path.string(), ": cannot be read: ", std::strerror(errno)));
  }
  return std::move(text).str();
}

void sync_to_disk(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || ::fsync(descriptor) != 0) {
    const int reason = errno;
    if (descriptor >= 0) ::close(descriptor);
    throw std::runtime_error(concat("cannot sync ", path.string(), ": ", std::strerror(reason)));
  }
  ::close(descriptor);
}

}  // namespace cdm
