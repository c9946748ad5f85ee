// SPDX-License-Identifier: MIT
// Writing and reading whole files of arrays, for tests.
#pragma once

#include <filesystem>

#include "cdm/core/file.h"
#include "cdm/io/npy.h"
#include "cdm/io/safetensors.h"

namespace cdm::test {

/// Writes `array`, of at least one dimension, to an .npy file.
inline void write_npy(const std::filesystem::path& path, const at::Tensor& array) {
  NpyWriter writer(path, array.scalar_type(), array.sizes().vec());
  writer.append(array);
  writer.close();
}

inline SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  return parse_safetensors(read_file(path), path.string());
}

}  // namespace cdm::test
