// SPDX-License-Identifier: MIT
// Shared libraries that are loaded while a program runs.
#pragma once

#include <dlfcn.h>

#include <string>

namespace cdm {

/// Why the last dlopen or dlsym failed.
inline std::string dl_error() {
  const char* const message = ::dlerror();
  return message == nullptr ? "unknown reason" : message;
}

/// A function of a library, which is loaded where the program's other libraries are; null, and then
/// dl_error() says why, where there is none.
inline void* dl_function(const char* library, const char* name) {
  void* const loaded = ::dlopen(library, RTLD_NOW);
  return loaded == nullptr ? nullptr : ::dlsym(loaded, name);
}

}  // namespace cdm
