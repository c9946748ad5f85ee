// SPDX-License-Identifier: MIT
#include "cdm/core/output_target.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as in the kernel

/// The number N when `path` is /proc/self/fd/N, to which /dev/fd/N and /dev/stdout lead; else -1.
/// Such a descriptor is used itself, because opening its file again would begin at its first byte
/// and forget that a shell wanted to append.
int descriptor_named(const fs::path& path) {
  const std::optional<std::int64_t> number = whole_number(path.filename().string());
  if (!number || *number < 0 || *number > std::numeric_limits<int>::max()) return -1;
  std::error_code none;
  const fs::path folder = fs::canonical(path.parent_path(), none);
  return !none && folder == fs::canonical("/proc/self/fd", none) && !none
             ? static_cast<int>(*number)
             : -1;
}

}  // namespace

OutputTarget find_output_target(const fs::path& path) {
  const auto fail = [&](const char* reason) {
    return UserError(concat(path.string(), ": ", reason));
  };
  OutputTarget target = {.path = path};
  fs::file_status status;
  for (int links = 0;; ++links) {
    target.descriptor = descriptor_named(target.path);
    if (target.descriptor >= 0) {
      const int mode = ::fcntl(target.descriptor, F_GETFL);
      if (mode < 0) throw fail("is not open");
      if ((mode & O_ACCMODE) == O_RDONLY) throw fail("is not open for writing");
      target.is_stream = true;
      target.path = path;
      return target;
    }
    // A path that cannot be looked at is left as it is: whoever creates the file says why not.
    std::error_code unknown;
    status = fs::symlink_status(target.path, unknown);
    if (status.type() != fs::file_type::symlink) break;
    if (links == kMostLinks) throw fail("is a loop of links");
    const fs::path next = fs::read_symlink(target.path, unknown);
    if (unknown) break;
    target.path = target.path.parent_path() / next;  // `next` alone where it is absolute
  }
  switch (status.type()) {
    case fs::file_type::directory:
      throw fail("is a folder; a file is to be written");
    case fs::file_type::block:
      throw fail("is a block device; a file is to be written");
    case fs::file_type::socket:
      throw fail("is a socket; a file is to be written");
    case fs::file_type::fifo:
    case fs::file_type::character:
      target.is_stream = true;
      target.path = path;
      break;
    default:
      break;
  }
  return target;
}

int open_stream(const OutputTarget& stream) {
  const int descriptor = stream.descriptor >= 0
                             ? ::fcntl(stream.descriptor, F_DUPFD_CLOEXEC, 3)
                             : ::open(stream.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor >= 0) return descriptor;
  throw std::runtime_error(
      concat("cannot write ", stream.path.string(), ": ", std::strerror(errno)));
}

}  // namespace cdm
