// SPDX-License-Identifier: MIT
// Functions of shared libraries that are loaded at run time.
#pragma once

#include <dlfcn.h>

#include <string>

namespace cdm {

/// Why the last dlopen or dlsym failed.
inline std::string dl_error() {
  const char* const message = ::dlerror();
  return message == nullptr ? "unknown reason" : message;
}

/// The address of function `name` in `library`. Loads the library if necessary, from where the
/// loader finds the program's other libraries. Null when that fails; dl_error() then says why.
inline void* dl_function(const char* library, const char* name) {
  void* const loaded = ::dlopen(library, RTLD_NOW);
  return loaded == nullptr ? nullptr : ::dlsym(loaded, name);
}

}  // namespace cdm
