// SPDX-License-Identifier: MIT
// A device to write to in tests. For root it is not the machine's own /dev/null, which a program
// with an error would replace by a file.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace cdm::test {

/// A device like /dev/null: for root a new one in `folder`, for others /dev/null itself. Empty when
/// none can be made.
inline std::string null_device(const std::filesystem::path& folder) {
  if (::geteuid() != 0) return "/dev/null";
  const std::string device = folder / "null";
  constexpr unsigned kMemory = 1, kNull = 3;  // major and minor number
  const bool made = ::mknod(device.c_str(), S_IFCHR | 0666, ::makedev(kMemory, kNull)) == 0;
  return made ? device : "";
}

}  // namespace cdm::test
