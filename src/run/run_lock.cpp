// SPDX-License-Identifier: MIT
#include "cdm/run/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr ::mode_t kEverybody = 0666;  // less the umask

UserError in_use(const RunDir& run) {
  return UserError(concat(run.root().string(), ": another process is training in this folder"));
}

/// Opens the file for writing, else for reading, which is enough for a lock on a local disk.
int open_lock(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kEverybody);
  if (descriptor >= 0) return descriptor;
  const int reason = errno;
  const int read_only = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (read_only >= 0 && reason == EACCES) return read_only;
  if (read_only >= 0) ::close(read_only);
  throw std::runtime_error(concat("cannot write ", file.string(), ": ", std::strerror(reason)));
}

}  // namespace

RunLock::RunLock(const RunDir& run) : descriptor_(open_lock(run.lock())) {
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK) {
    ::close(descriptor_);
    throw in_use(run);
  }
  log_warning(concat(run.root().string(), ": the file system has no locks (", std::strerror(errno),
                     "): nothing keeps a second process from training in this folder"));
}

RunLock::~RunLock() { ::close(descriptor_); }

void RunLock::note_checkpoint(const std::string& name) const {
  // What a failure loses is only a hint.
  const std::string line = name.empty() ? "" : name + "\n";
  const bool written = ::pwrite(descriptor_, line.data(), line.size(), 0) >= 0;
  if (written && ::ftruncate(descriptor_, static_cast<::off_t>(line.size())) != 0) return;
}

std::string noted_checkpoint(const RunDir& run) {
  std::ifstream file(run.lock());
  std::string line;
  std::getline(file, line);
  return line;
}

void require_not_in_use(const RunDir& run) {
  const int lock = ::open(run.lock().c_str(), O_RDONLY | O_CLOEXEC);
  if (lock < 0) return;
  const bool is_held = ::flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(lock);
  if (is_held) throw in_use(run);
}

}  // namespace cdm
