// SPDX-License-Identifier: MIT
// NumPy's .npy arrays: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cdm/core/file.h"

namespace cdm {

/// Reads a .npy file of bool, uint8, int32, int64, float16, float32 or float64, little-endian, C or
/// Fortran order, into a contiguous CPU tensor. Throws UserError, naming the file, when it is
/// missing, truncated, longer than its header says, or of another type.
at::Tensor read_npy(const std::filesystem::path& path);

/// Writes an array of one of these types row by row, so that memory does not grow with it. The file
/// is written beside `path` and renamed by close().
class NpyWriter {
 public:
  NpyWriter(std::filesystem::path path, at::ScalarType type, std::vector<std::int64_t> shape);

  /// Appends rows along the first dimension: [n, ...] with the type and trailing shape announced.
  void append(const at::Tensor& rows);
  /// Gives the file its name. All rows must have come.
  void close();

 private:
  AtomicFile file_;
  at::ScalarType type_;
  std::vector<std::int64_t> shape_;
  std::int64_t rows_ = 0;
};

}  // namespace cdm
