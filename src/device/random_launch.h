// SPDX-License-Identifier: MIT
// Launches the kernel of random.cu. Plain C++, so that no CUDA or LibTorch header is needed to call
// it.
#pragma once

#include <cstdint>

#include "device/philox_numbers.h"

namespace cdm::cuda {

/// Fills `out` [rows, row_size] (float32, memory of the current device) with the numbers of rows
/// first_row, first_row + 1, ... `stream` is a cudaStream_t of that device. Throws
/// std::runtime_error when the launch fails, or in a build without CUDA.
void fill_rows(float* out, std::int64_t rows, std::int64_t row_size, PhiloxRow first_row,
               Distribution distribution, void* stream);

}  // namespace cdm::cuda
