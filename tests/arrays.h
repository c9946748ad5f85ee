// SPDX-License-Identifier: MIT
// Whole files of arrays, for tests.
#pragma once

#include <filesystem>

#include "cdm/core/file.h"
#include "cdm/io/npy.h"
#include "cdm/io/safetensors.h"

namespace cdm::test {

/// Writes an array of at least one dimension.
inline void write_npy(const std::filesystem::path& path, const at::Tensor& array) {
  NpyWriter writer(path, array.scalar_type(), array.sizes().vec());
  writer.append(array);
  writer.close();
}

inline SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  return parse_safetensors(read_file(path), path.string());
}

}  // namespace cdm::test
