// SPDX-License-Identifier: MIT
// Loaded into a program by LD_PRELOAD: the file system seems to have no locks, to sync nothing, and
// to be unable to exchange two names, as some network and FUSE file systems are.
#include <cerrno>

namespace {

int refuse(int reason) {
  errno = reason;
  return -1;
}

}  // namespace

extern "C" {

int flock(int /*descriptor*/, int /*operation*/) { return refuse(ENOLCK); }
int fsync(int /*descriptor*/) { return refuse(EINVAL); }
int renameat2(int /*old_folder*/, const char* /*old_path*/, int /*new_folder*/,
              const char* /*new_path*/, unsigned /*flags*/) {
  return refuse(EINVAL);
}

}  // extern "C"
