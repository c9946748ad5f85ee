// SPDX-License-Identifier: MIT
// NumPy's .npz archives: a zip of .npy members, stored or deflated.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace cdm {

/// Member names without ".npy", in the archive's order. Throws UserError when it is not a zip file.
std::vector<std::string> npz_names(const std::filesystem::path& path);

/// One member as a CPU tensor. Throws UserError, naming file and member, when it is absent, damaged
/// (CRC) or of a type read_npy does not read.
at::Tensor read_npz(const std::filesystem::path& path, const std::string& name);

/// Writes an .npz piece by piece, so that memory does not grow with the number of images.
/// The file appears under its name only when close() has returned; a writer destroyed before that
/// leaves nothing behind.
class NpzWriter {
 public:
  explicit NpzWriter(std::filesystem::path path);
  ~NpzWriter();
  NpzWriter(const NpzWriter&) = delete;
  NpzWriter& operator=(const NpzWriter&) = delete;

  /// Starts member `name` of the given full shape; rows then arrive through append().
  void begin(const std::string& name, at::ScalarType type, const std::vector<std::int64_t>& shape);
  /// Appends rows along the first dimension: [n, ...] with the type and trailing shape of begin().
  void append(const at::Tensor& rows);
  /// begin + append of a whole array.
  void write(const std::string& name, const at::Tensor& array);
  void close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cdm
