// SPDX-License-Identifier: MIT
// The .npy format in memory, shared by single files and by members of archives.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cdm {

/// The bytes before the data of a C-order array.
std::string npy_header(at::ScalarType type, const std::vector<std::int64_t>& shape);

/// A whole .npy file's bytes as a contiguous CPU tensor. Throws UserError; `source` names the file.
at::Tensor parse_npy(std::string_view bytes, const std::string& source);

}  // namespace cdm
