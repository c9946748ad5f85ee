// SPDX-License-Identifier: MIT
// NumPy arrays in pickles, and the bytes that they are made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "io/pickle_objects.h"

namespace cdm::pickle {

/// The array of a state, the tuple (version, shape, type, whether in Fortran order, bytes). Throws
/// the error that `fail` makes when it is none, or when numpy_array() does not read it.
at::Tensor build_array(Objects& objects, Object state, const Failure& fail);

/// The bytes that Python 3 wrote as text, one character each. `text` is UTF-8.
std::string latin1_bytes(const std::string& text, const Failure& fail);

}  // namespace cdm::pickle
