// SPDX-License-Identifier: MIT
// A test split for data that have none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cdm {

/// Which pictures are held out for the test split: about a tenth. A picture is held out if the
/// first 8 bytes of the SHA-256 of its name, as a big-endian number, are below a tenth of 2^64. So
/// a picture stays in its split when others are added, and on every machine.
///
/// Exceptions: if all pictures of a class (the same label) would be held out, the one with the
/// largest number is for training. If none would be held out, the one with the smallest number is,
/// among those whose class has another picture, or else among all. A single picture is not held
/// out.
std::vector<bool> held_out(const std::vector<std::string>& names,
                           const std::vector<std::int64_t>& labels);

}  // namespace cdm
