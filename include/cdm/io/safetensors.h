// SPDX-License-Identifier: MIT
// Safetensors: https://github.com/huggingface/safetensors#format
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "cdm/tensors.h"

namespace cdm {

struct SafetensorsFile {
  NamedTensors tensors;                         // in the order of their bytes in the file; CPU
  std::map<std::string, std::string> metadata;  // the "__metadata__" member
};

/// Throws UserError, naming the file, for anything that is not a whole, consistent safetensors
/// file.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// Writes beside `path`, syncs, then renames.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace cdm
