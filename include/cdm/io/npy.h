// SPDX-License-Identifier: MIT
// NumPy's .npy arrays: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cdm/core/file.h"

namespace cdm {

/// Reads a .npy file into a contiguous CPU tensor. Types: bool, signed and unsigned integers of 8
/// to 64 bits, float16, float32, float64; in either order of bytes, and in C or Fortran order.
/// uint16 becomes int32, uint32 and uint64 become int64. Throws UserError, naming the file, when it
/// cannot be read, is shorter or longer than its header says, is of another type, or holds numbers
/// of 2^63 or more.
at::Tensor read_npy(const std::filesystem::path& path);

/// Writes an array of bool, integers, or floating-point numbers row by row, so that memory does not
/// grow with it. The file is written beside `path` and renamed by close().
class NpyWriter {
 public:
  NpyWriter(std::filesystem::path path, at::ScalarType type, std::vector<std::int64_t> shape);

  /// Appends `rows` [n, ...], whose type and other dimensions are those of the constructor.
  void append(const at::Tensor& rows);
  /// Completes the file. All shape[0] rows must have been appended.
  void close();

 private:
  AtomicFile file_;
  at::ScalarType type_;
  std::vector<std::int64_t> shape_;
  std::int64_t rows_ = 0;
};

}  // namespace cdm
