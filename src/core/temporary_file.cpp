// SPDX-License-Identifier: MIT
#include "cdm/core/temporary_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>

#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr std::size_t kLongestName = 255;  // bytes, in the usual file systems
constexpr mode_t kUsualMode = 0666;        // the umask takes bits away

// The paths of the temporary files, for the signal handler, which may neither allocate nor lock. A
// process writes a few files at a time; files beyond the last slot are not removed by a signal.
std::array<std::atomic<const char*>, 64> paths = {};
static_assert(std::atomic<const char*>::is_always_lock_free);

std::filesystem::path temporary_name(const std::filesystem::path& path) {
  static std::atomic<unsigned> count = 0;
  const std::string suffix = concat(".tmp-", ::getpid(), "-", ++count);
  return path.parent_path() /
         (path.filename().string().substr(0, kLongestName - suffix.size()) + suffix);
}

void remove_and_end(int signal) {
  for (std::atomic<const char*>& path : paths) {
    if (const char* const name = path.exchange(nullptr)) ::unlink(name);
  }
  struct ::sigaction usual = {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(signal, &usual, nullptr);
  ::raise(signal);  // delivered when the handler returns
}

}  // namespace

TemporaryFile::TemporaryFile(const std::filesystem::path& path) : path_(temporary_name(path)) {
  registered_ = ::strdup(path_.c_str());
  for (slot_ = 0; slot_ < paths.size(); ++slot_) {
    const char* empty = nullptr;
    if (paths[slot_].compare_exchange_strong(empty, registered_)) break;
  }
  // A file of that name was left by a dead process that had the number of this one.
  ::unlink(path_.c_str());
  const int descriptor = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kUsualMode);
  if (descriptor < 0) {
    const int reason = errno;
    if (slot_ < paths.size()) paths[slot_].exchange(nullptr);
    std::free(const_cast<char*>(registered_));
    throw std::system_error(reason, std::generic_category());
  }
  ::close(descriptor);
}

TemporaryFile::~TemporaryFile() {
  ::unlink(path_.c_str());
  const char* mine = registered_;
  // Where the handler has taken the text, the process is about to end: the text stays.
  if (slot_ < paths.size() && !paths[slot_].compare_exchange_strong(mine, nullptr)) return;
  std::free(const_cast<char*>(registered_));
}

void TemporaryFile::take_mode_of(const std::filesystem::path& other) const {
  struct ::stat status = {};
  if (::stat(other.c_str(), &status) != 0) return;
  // Only root can give a file away; a group can be given by its members. What is refused stays.
  if (::chown(path_.c_str(), status.st_uid, status.st_gid) != 0) {
    [[maybe_unused]] const int refused =
        ::chown(path_.c_str(), static_cast<uid_t>(-1), status.st_gid);
  }
  ::chmod(path_.c_str(), status.st_mode & 07777);
}

void TemporaryFile::rename_to(const std::filesystem::path& path) {
  std::filesystem::rename(path_, path);
}

void remove_temporary_files_when_stopped() {
  for (const int signal :
       {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ}) {
    struct ::sigaction former = {};
    if (::sigaction(signal, nullptr, &former) != 0 || former.sa_handler != SIG_DFL) continue;
    struct ::sigaction ending = {};
    ending.sa_handler = remove_and_end;
    ::sigemptyset(&ending.sa_mask);
    ::sigaction(signal, &ending, nullptr);
  }
}

}  // namespace cdm
