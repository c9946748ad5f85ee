// SPDX-License-Identifier: MIT
// Launches the kernels of random.cu. Plain C++, so that no CUDA or LibTorch header is needed to
// call it.
#pragma once

#include <cstdint>

#include "device/philox_numbers.h"

namespace cdm::cuda {

// `out` and the index of the rows, if there is one, are memory of the current device. `stream` is a
// cudaStream_t of it. Each function throws std::runtime_error when the launch fails, or in a build
// without CUDA.

/// Fills `out` [count, row_size], float32, with numbers of the rows.
void fill_rows(float* out, std::int64_t count, std::int64_t row_size, const PhiloxRows& rows,
               Distribution distribution, void* stream);

/// Fills `out` [count] with an integer in 0 .. bound-1 of each row.
void fill_integers(std::int64_t* out, std::int64_t count, std::int64_t bound,
                   const PhiloxRows& rows, void* stream);

/// Writes {philox_key(seed_of(row 0 of `rows`), purpose), first_row} into `out`.
void write_random_rows(std::int64_t* out, const PhiloxRows& rows, std::uint64_t purpose,
                       std::int64_t first_row, void* stream);

}  // namespace cdm::cuda
