// SPDX-License-Identifier: MIT
#include "cdm/core/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(concat(path_.string(), ".tmp-", ::getpid())) {
  errno = 0;
  out_.open(temporary_, std::ios::binary);
  check();
}

AtomicFile::~AtomicFile() {
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void AtomicFile::check() {
  if (!out_) {
    throw std::runtime_error(concat("cannot write ", path_.string(), ": ", std::strerror(errno)));
  }
}

void AtomicFile::commit() {
  out_.close();
  check();
  sync_to_disk(temporary_);
  std::filesystem::rename(temporary_, path_);
}

void write_atomically(const std::filesystem::path& path,
                      const std::function<void(std::ostream&)>& write) {
  AtomicFile file(path);
  write(file.stream());
  file.commit();
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
