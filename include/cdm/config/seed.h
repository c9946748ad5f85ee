// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace cdm {

/// The largest seed, of a run and on the command line: 2^53 - 1, exact also for a reader of JSON
/// that stores numbers as double.
constexpr std::int64_t kLargestSeed = (std::int64_t{1} << 53) - 1;

}  // namespace cdm
