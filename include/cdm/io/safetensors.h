// SPDX-License-Identifier: MIT
// Safetensors files, which hold named tensors: https://github.com/huggingface/safetensors#format
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "cdm/core/tensors.h"

namespace cdm {

struct SafetensorsFile {
  NamedTensors tensors;                         // on the CPU, in the order of the file's data
  std::map<std::string, std::string> metadata;  // the "__metadata__" member
};

/// Parses the bytes of a file. Throws UserError when they are not a whole and consistent
/// safetensors file. Messages begin with `source`.
SafetensorsFile parse_safetensors(std::string_view bytes, const std::string& source);

/// Writes tensors from any device: under a temporary name beside `path`, flushed to disk, then
/// renamed. Throws std::runtime_error for a type that the format has no name for.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace cdm
