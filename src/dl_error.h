// SPDX-License-Identifier: MIT
// Why the last dlopen or dlsym failed.
#pragma once

#include <dlfcn.h>

#include <string>

namespace cdm {

inline std::string dl_error() {
  const char* const message = ::dlerror();
  return message == nullptr ? "unknown reason" : message;
}

}  // namespace cdm
