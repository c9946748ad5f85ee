// SPDX-License-Identifier: MIT
#include "cdm/core/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <ios>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

/// The name beside `path` to write under. A long name is shortened, so that a file whose name is as
/// long as the system allows can be written, too.
std::filesystem::path temporary_name(const std::filesystem::path& path) {
  constexpr std::size_t kLongest = 200;  // of the 255 bytes of a name
  std::string name = path.filename().string();
  if (name.size() > kLongest) {
    const std::size_t hash = std::hash<std::string>()(name);
    name = concat(name.substr(0, kLongest), "-", std::hex, hash);
  }
  return path.parent_path() / concat(name, ".tmp-", ::getpid());
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(temporary_name(path_)) {
  std::error_code error;
  const bool is_known =
      std::filesystem::status_known(std::filesystem::symlink_status(path_, error));
  // Otherwise only the renaming in the end would find out.
  if (!is_known && error == std::errc::filename_too_long) {
    throw std::runtime_error(concat("cannot write ", path_.string(), ": ", error.message()));
  }
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
  // Read piece by piece: a stream that copies its buffer into a string would stop in silence when
  // memory runs out or the disk fails.
  constexpr std::size_t kFirstPiece = std::size_t{1} << 16U;
  std::string bytes;
  while (in) {
    const std::size_t done = bytes.size();
    bytes.resize(done + std::max(done, kFirstPiece));
    in.read(bytes.data() + done, static_cast<std::streamsize>(bytes.size() - done));
    bytes.resize(done + static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad() || !in.is_open()) {
    throw UserError(concat(path.string(), ": cannot be read: ", std::strerror(errno)));
  }
  return bytes;
}

void sync_to_disk(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || ::fsync(descriptor) != 0) {
    const int reason = errno;
    if (descriptor >= 0) ::close(descriptor);
    // Some file systems sync nothing, or no folders. Then there is nothing more to be done. A
    // folder that may be written but not read cannot be opened.
    const bool is_folder = std::filesystem::is_directory(path);
    if (reason == EINVAL || reason == ENOSYS || reason == ENOTSUP || reason == EROFS ||
        (is_folder && (reason == EACCES || reason == EBADF || reason == EISDIR))) {
      return;
    }
    throw std::runtime_error(concat("cannot sync ", path.string(), ": ", std::strerror(reason)));
  }
  ::close(descriptor);
}

}  // namespace cdm
