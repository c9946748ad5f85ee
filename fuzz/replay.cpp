// SPDX-License-Identifier: MIT
// Calls a fuzz target with each file of a folder: how builds without libFuzzer look at seeds and
// past findings again. All targets are one program here, which is soon built.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "archive.cpp"
#include "cdm/core/file.h"
#include "cifar10.cpp"
#include "cifar_python.cpp"
#include "idx.cpp"
#include "npy.cpp"
#include "npz.cpp"
#include "pickle.cpp"
#include "picture.cpp"
#include "pth.cpp"
#include "safetensors.cpp"
#include "yaml.cpp"

int main(int argc, char** argv) {
  const std::map<std::string, int (*)(const std::uint8_t*, std::size_t)> targets = {
      {"archive", &replay_archive},
      {"cifar10", &replay_cifar10},
      {"cifar_python", &replay_cifar_python},
      {"idx", &replay_idx},
      {"npy", &replay_npy},
      {"npz", &replay_npz},
      {"pickle", &replay_pickle},
      {"picture", &replay_picture},
      {"pth", &replay_pth},
      {"safetensors", &replay_safetensors},
      {"yaml", &replay_yaml}};
  if (argc != 3 || !targets.contains(argv[1])) {
    std::cerr << "usage: fuzz-replay TARGET FOLDER\n";
    return 2;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[2])) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    std::cout << file.filename().string() << std::endl;  // the last one named is a crash's
    const std::string text = cdm::read_file(file);
    // Exactly as large as the input, so that a sanitizer sees what reads past its end.
    const std::vector<std::uint8_t> bytes(text.begin(), text.end());
    targets.at(argv[1])(bytes.data(), bytes.size());
  }
  std::cout << files.size() << " inputs\n";
  return files.empty() ? 1 : 0;
}
