// SPDX-License-Identifier: MIT
#include "cdm/core/file.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

std::runtime_error cannot_write(const std::filesystem::path& path, const std::string& reason) {
  return std::runtime_error(concat("cannot write ", path.string(), ": ", reason));
}

/// Writes all bytes. Waits where the stream is full and does not wait by itself. Returns errno.
int write_all(int descriptor, const char* bytes, std::size_t count) {
  while (count > 0) {
    const ::ssize_t written = ::write(descriptor, bytes, count);
    if (written >= 0) {
      bytes += written;
      count -= static_cast<std::size_t>(written);
    } else if (errno == EAGAIN) {
      ::pollfd ready = {.fd = descriptor, .events = POLLOUT, .revents = 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void copy_into_stream(const std::filesystem::path& file, const OutputTarget& stream) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  std::vector<char> piece(kPiece);
  std::ifstream in(file, std::ios::binary);
  const int descriptor = open_stream(stream);
  int error = in ? 0 : EIO;
  while (error == 0 && in.peek() != std::ifstream::traits_type::eof()) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    error =
        in.bad() ? EIO : write_all(descriptor, piece.data(), static_cast<std::size_t>(in.gcount()));
  }
  if (::close(descriptor) != 0 && error == 0) error = errno;
  if (error != 0) throw cannot_write(stream.path, std::strerror(error));
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), target_(find_output_target(path_)) {
  std::error_code unknown;
  static_cast<void>(std::filesystem::symlink_status(target_.path, unknown));
  // The temporary name is short enough. Without this, only the renaming in the end would find out.
  if (unknown == std::errc::filename_too_long) throw cannot_write(path_, unknown.message());
  if (target_.is_stream && target_.descriptor < 0 && ::access(path_.c_str(), W_OK) != 0) {
    throw cannot_write(path_, std::strerror(errno));
  }
  try {
    temporary_.emplace(target_.is_stream ? std::filesystem::temp_directory_path() / path_.filename()
                                         : target_.path);
  } catch (const std::system_error& error) {
    throw cannot_write(path_, error.code().message());
  }
  errno = 0;
  out_.open(temporary_->path(), std::ios::binary);
  check();
  if (!target_.is_stream) temporary_->take_mode_of(target_.path);
}

void AtomicFile::check() {
  if (!out_) throw cannot_write(path_, std::strerror(errno));
}

void AtomicFile::commit() {
  out_.close();
  check();
  if (target_.is_stream) return copy_into_stream(temporary_->path(), target_);
  sync_to_disk(temporary_->path());
  try {
    temporary_->rename_to(target_.path);
  } catch (const std::system_error& error) {
    throw cannot_write(path_, error.code().message());
  }
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
