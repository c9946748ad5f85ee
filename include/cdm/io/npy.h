// SPDX-License-Identifier: MIT
// NumPy's .npy arrays: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

namespace cdm {

/// Reads a .npy file of bool, uint8, int32, int64, float32 or float64, little-endian, C or Fortran
/// order, into a contiguous CPU tensor. Throws UserError, naming the file, when it is missing,
/// truncated, longer than its header says, or of another type.
at::Tensor read_npy(const std::filesystem::path& path);

/// Writes `array` (any of the types above, any device) beside `path`, then renames.
void write_npy(const std::filesystem::path& path, const at::Tensor& array);

}  // namespace cdm
