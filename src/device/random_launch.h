// SPDX-License-Identifier: MIT
// Launchers of random.cu. Plain C++: no CUDA or LibTorch header is needed to call them.
#pragma once

#include <cstdint>

#include "device/philox_numbers.h"

namespace cdm::cuda {

/// Fills `out` [rows, row_size] (device memory, float32) on the current device's `stream` (a
/// cudaStream_t). Throws std::runtime_error when the launch fails, or in a build without CUDA.
void fill_rows(float* out, std::int64_t rows, std::int64_t row_size, PhiloxRow first_row,
               Distribution distribution, void* stream);

}  // namespace cdm::cuda
