// SPDX-License-Identifier: MIT
// Random numbers that are derived, never stored.
//
// Every number is a function of (seed, purpose, index, row, position in the row), through the
// counter-based generator Philox4x32-10 (Salmon et al., 2011). Training step k, or image i of a
// sampling run, needs no saved generator state, and a batch may be cut up in any way.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

namespace cdm {

/// What a stream of numbers is for. Streams of different purposes are independent.
enum class Purpose : std::uint64_t {
  parameters = 1,
  data_order,
  level,
  noise,
  flip,
  label_dropout,
  dropout,
  sample_start,
  sample_step,
  dequantize,
};

/// A purpose that only one place in the program has, under a name of its own: an objective or a
/// sampler that draws more than the ones above need not add to the list. Equal names are the same
/// purpose; a name never clashes with an enumerator.
Purpose named_purpose(std::string_view name);

/// One stream: `index` is the training step, or the number of the draw; rows are images.
/// Both must be below 2^32.
struct RandomStream {
  std::uint64_t seed;
  Purpose purpose;
  std::uint64_t index = 0;
};

/// Standard normal numbers [rows, ...]. Row i of the result depends on the stream and on
/// first_row + i only. Drawn in float32, then converted to the type in `options`.
at::Tensor normal(const RandomStream& stream, at::IntArrayRef shape,
                  const at::TensorOptions& options, std::int64_t first_row = 0);

/// Uniform numbers in [0, 1), multiples of 2^-24; otherwise as normal().
at::Tensor uniform(const RandomStream& stream, at::IntArrayRef shape,
                   const at::TensorOptions& options, std::int64_t first_row = 0);

/// `count` uniform integers in 0..bound-1 (int64, CPU), bound at most 2^31, for the rows first_row,
/// first_row + 1, ...
at::Tensor integers(const RandomStream& stream, std::int64_t count, std::int64_t bound,
                    std::int64_t first_row = 0);

/// A random order of 0..count-1 (int64, CPU).
at::Tensor permutation(const RandomStream& stream, std::int64_t count);

/// A 64-bit seed for a generator of somebody else's.
std::uint64_t derived_seed(const RandomStream& stream);

}  // namespace cdm
