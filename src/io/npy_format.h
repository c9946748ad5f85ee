// SPDX-License-Identifier: MIT
// The .npy format in memory, for .npy files and for the members of .npz archives.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cdm {

/// The bytes that come before the data of an array in C order.
std::string npy_header(at::ScalarType type, const std::vector<std::int64_t>& shape);

/// Parses the bytes of a whole .npy file into a contiguous CPU tensor. Throws UserError as
/// read_npy() does; messages begin with `source`.
at::Tensor parse_npy(std::string_view bytes, const std::string& source);

}  // namespace cdm
