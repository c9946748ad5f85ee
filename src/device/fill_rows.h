// SPDX-License-Identifier: MIT
// Random numbers by a loop on the CPU, for random.h and random_rows.h.
#pragma once

#include <cstdint>

#include "cdm/device/random.h"
#include "device/philox_numbers.h"

namespace cdm {

/// Row number `row` of a stream. Throws c10::Error unless index and row are below 2^32.
PhiloxRow philox_row(const RandomStream& stream, std::int64_t row);

/// Fills `out` [rows, row_size] with the numbers of rows first_row, first_row + 1, ... of a stream.
void fill_rows(float* out, std::int64_t rows, std::int64_t row_size, PhiloxRow first_row,
               Distribution distribution);

}  // namespace cdm
