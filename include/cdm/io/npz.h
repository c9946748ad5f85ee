// SPDX-License-Identifier: MIT
// NumPy's .npz archives: zip files whose members are .npy arrays. Members may be deflated when they
// are read, and are written without compression.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace cdm {

/// The names of the arrays (without ".npy") in the archive's order. Throws UserError, naming the
/// file, when it cannot be read or is not a whole zip archive.
std::vector<std::string> npz_names(const std::filesystem::path& path);

/// One array as a CPU tensor. Throws UserError, naming the file and the array, when there is no
/// such array, when it is damaged (its CRC is checked), or when read_npy() does not read its type.
at::Tensor read_npz(const std::filesystem::path& path, const std::string& name);

/// Writes an .npz file some rows at a time, so that memory does not grow with the number of images.
/// The file is written under a temporary name and renamed by close(). A writer that is destroyed
/// without close() leaves no file behind. Errors of the disk are std::runtime_error.
class NpzWriter {
 public:
  explicit NpzWriter(std::filesystem::path path);
  ~NpzWriter();
  NpzWriter(const NpzWriter&) = delete;
  NpzWriter& operator=(const NpzWriter&) = delete;

  /// Starts array `name`, whose whole shape is `shape`. append() gives it its rows.
  void begin(const std::string& name, at::ScalarType type, const std::vector<std::int64_t>& shape);
  /// Appends `rows` [n, ...], whose type and other dimensions are those of begin().
  void append(const at::Tensor& rows);
  /// Writes a whole array.
  void write(const std::string& name, const at::Tensor& array);
  /// Completes the file. Like begin(), throws std::logic_error when the array before lacks rows.
  void close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cdm
