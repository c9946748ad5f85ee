// SPDX-License-Identifier: MIT
// The order of numbered names that people expect.
#pragma once

#include <string_view>

namespace cdm {

/// Whether `a` comes before `b` when each run of digits counts as one number: "2.png" before
/// "10.png". All else is compared byte by byte. Names that differ in leading zeros only ("01.png"
/// and "1.png") are in byte order. Numbers may have any length.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace cdm
