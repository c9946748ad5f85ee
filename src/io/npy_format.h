// SPDX-License-Identifier: MIT
// NumPy's arrays in memory: for .npy files, the members of .npz archives, and pickles.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cdm/core/error.h"

namespace cdm {

/// The error that says why an array cannot be used.
using NumpyFailure = std::function<UserError(const std::string& reason)>;

/// The array with these bytes as a contiguous CPU tensor. `descr` is NumPy's name of the type: the
/// order of bytes ('<' or '=' little-endian, '>' big-endian, '|' where it does not matter), then
/// b1, u1, u2, u4, u8, i1, i2, i4, i8, f2, f4 or f8. Unsigned numbers of 16, 32 and 64 bits become
/// int32, int64 and int64. Throws what `fail` makes for another type, another number of bytes than
/// `shape` needs, or numbers that do not fit.
at::Tensor numpy_array(std::string_view descr, const std::vector<std::int64_t>& shape, bool fortran,
                       std::string_view data, const NumpyFailure& fail);

/// The bytes that come before the data of an array in C order.
std::string npy_header(at::ScalarType type, const std::vector<std::int64_t>& shape);

/// Parses the bytes of a whole .npy file into a contiguous CPU tensor. Throws UserError as
/// read_npy() does; messages begin with `source`.
at::Tensor parse_npy(std::string_view bytes, const std::string& source);

}  // namespace cdm
