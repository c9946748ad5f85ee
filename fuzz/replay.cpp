// SPDX-License-Identifier: MIT
// Calls a fuzz target with each file that is named, or lies in a folder that is named: how builds
// without libFuzzer look at seeds and past findings again.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <vector>

#include "cdm/io/file.h"
#include "fuzz.h"

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
        files.push_back(entry.path());
      }
    } else {
      files.emplace_back(argv[i]);
    }
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    std::cout << file.filename().string() << std::endl;  // the last one named is a crash's
    const std::string text = cdm::read_file(file);
    // Exactly as large as the input, so that a sanitizer sees what reads past its end.
    const std::vector<std::uint8_t> bytes(text.begin(), text.end());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::cout << files.size() << " inputs\n";
  return files.empty() ? 1 : 0;
}
