// SPDX-License-Identifier: MIT
// SHA-256 (FIPS 180-4), by which a file of weights is known.
#pragma once

#include <string>
#include <string_view>

namespace cdm {

/// The digest of `bytes` in 64 hexadecimal digits, as the program sha256sum prints it.
std::string sha256(std::string_view bytes);

}  // namespace cdm
