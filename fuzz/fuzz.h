// SPDX-License-Identifier: MIT
// What every fuzz target shares. A target is one function, called with foreign bytes: by libFuzzer
// (preset fuzz), or by replay.cpp with each file of tests/data/fuzz.
#pragma once

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cdm/core/error.h"

namespace cdm::fuzz {

/// Calls `parse`, which may succeed, or refuse its input by a UserError of one line. Whatever else
/// it throws ends the program: that is a finding.
template <class Parse>
void attempt(const Parse& parse) {
  try {
    parse();
  } catch (const UserError& error) {
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) std::abort();
  }
}

/// The input as text.
inline std::string_view view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// A file in memory, for parsers that open a path.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0) std::abort();
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  void write(std::string_view bytes) const {
    if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, bytes.data(), bytes.size(), 0) !=
                                                static_cast<ssize_t>(bytes.size())) {
      std::abort();
    }
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// A folder of files in memory, for parsers that open a folder.
class MemoryFolder {
 public:
  explicit MemoryFolder(const std::vector<std::string>& names) : files_(names.size()) {
    std::string name = (std::filesystem::temp_directory_path() / "cdm-fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::filesystem::create_symlink(files_[i].path(), path_ / names[i]);
    }
  }
  ~MemoryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;

  const MemoryFile& operator[](std::size_t i) const { return files_[i]; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::vector<MemoryFile> files_;
  std::filesystem::path path_;
};

}  // namespace cdm::fuzz

/// Begins a target: what libFuzzer looks for, or a function of replay.cpp, which has them all.
#ifdef CDM_LIBFUZZER
#define CDM_FUZZ_TARGET(name) extern "C" int LLVMFuzzerTestOneInput
#else
#define CDM_FUZZ_TARGET(name) static int replay_##name
#endif
