// SPDX-License-Identifier: MIT
// Safetensors: https://github.com/huggingface/safetensors#format
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "cdm/core/tensors.h"

namespace cdm {

struct SafetensorsFile {
  NamedTensors tensors;                         // in the order of their bytes in the file; CPU
  std::map<std::string, std::string> metadata;  // the "__metadata__" member
};

/// The contents `bytes` of a file. Throws UserError, naming `source`, for anything that is not a
/// whole, consistent safetensors file.
SafetensorsFile parse_safetensors(std::string_view bytes, const std::string& source);

/// Writes beside `path`, syncs, then renames.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace cdm
