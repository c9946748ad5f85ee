// SPDX-License-Identifier: MIT
// What random.h and random_rows.h share: the rows of a stream, and numbers by a loop on the CPU.
#pragma once

#include <cstdint>

#include "cdm/device/random.h"
#include "device/philox_numbers.h"

namespace cdm {

/// Row number `row` of a stream whose index is a number. Throws c10::Error unless index and row are
/// below 2^32.
PhiloxRow philox_row(const RandomStream& stream, std::int64_t row);

/// Rows first_row .. first_row + count - 1 of a stream. Throws c10::Error unless an index that is a
/// number, and the rows, are below 2^32.
PhiloxRows philox_rows(const RandomStream& stream, std::int64_t first_row, std::int64_t count);

/// Whether numbers for `device` are drawn there by a kernel; otherwise they are drawn on the CPU.
/// Throws c10::Error when the index is on a device and neither is possible there.
bool drawn_by_kernel(const RandomStream& stream, at::Device device);

/// Fills `out` [count, row_size] with numbers of the rows.
void fill_rows(float* out, std::int64_t count, std::int64_t row_size, const PhiloxRows& rows,
               Distribution distribution);

}  // namespace cdm
