// SPDX-License-Identifier: MIT
// Random numbers whose identity lies in the memory of a device. A recording (device/recorded.h)
// reads it when it is replayed, so that each replay draws numbers of its own.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/device/random.h"

namespace cdm {

/// The rows first_row, first_row + 1, ... of all streams of (seed, purpose), whatever their index:
/// int64 [2] on `device`, which holds the Philox key of (seed, purpose) and first_row.
at::Tensor random_rows(std::uint64_t seed, Purpose purpose, std::int64_t first_row,
                       at::Device device);

/// The same for the seed derived_seed(stream), whose index may be on the device.
at::Tensor random_rows(const RandomStream& stream, Purpose purpose, std::int64_t first_row,
                       at::Device device);

/// uniform() of shape [rows, ...], float32, for the stream of `rows` (a result of random_rows())
/// with that index. On the CPU, the numbers are drawn by a loop. On a GPU they are computed by
/// uniform_by_tensors(), so that the host does not wait for the device. Throws c10::Error when the
/// index or, on the CPU, the number of a row is not below 2^32.
at::Tensor uniform(const at::Tensor& rows, std::uint64_t index, at::IntArrayRef shape);

/// The same numbers by ATen's operations on int64 tensors, about 100 of them.
at::Tensor uniform_by_tensors(const at::Tensor& rows, std::uint64_t index, at::IntArrayRef shape);

}  // namespace cdm
