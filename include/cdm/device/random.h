// SPDX-License-Identifier: MIT
// Random numbers that are functions of where they are used, so that no generator state is stored.
//
// Every number is a function of (seed, purpose, index, row, position in the row), computed with the
// counter-based generator Philox4x32-10 (Salmon et al., 2011, "Parallel Random Numbers: As Easy as
// 1, 2, 3"). So the numbers of training step k, or of image i of a sampling run, do not depend on
// what was drawn before, nor on how a batch is cut into pieces.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>

namespace cdm {

/// What a stream of numbers is used for. Streams of different purposes are independent.
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
  shift,
  augment,
};

/// A purpose that has a name but no enumerator, for an objective or a sampler that draws numbers of
/// its own. Equal names give the same purpose. It is never equal to one of the enumerators.
Purpose named_purpose(std::string_view name);

/// The index of a stream: a number, or a number in the memory of a device. A recording
/// (device/recorded.h) reads the latter when it is replayed, so that each replay draws numbers of
/// its own.
class StreamIndex {
 public:
  StreamIndex() = default;
  template <std::integral Number>
  StreamIndex(Number number) : number_(static_cast<std::uint64_t>(number)) {}
  /// `on_device`: an int64 scalar. All that is drawn must be on its device. A GPU needs
  /// own_cuda_kernels (c10::Error without).
  StreamIndex(at::Tensor on_device) : on_device_(std::move(on_device)) {}

  bool is_number() const { return !on_device_.defined(); }
  std::uint64_t number() const {
    TORCH_CHECK(is_number(), "this index of a random stream is on a device");
    return number_;
  }
  const at::Tensor& on_device() const { return on_device_; }

 private:
  std::uint64_t number_ = 0;
  at::Tensor on_device_;  // undefined for a number
};

/// A stream of numbers. `index` is the training step or the number of the draw. A stream has rows,
/// one per image. Index and row must be below 2^32 (c10::Error otherwise; an index on a device is
/// not checked).
struct RandomStream {
  std::uint64_t seed;
  Purpose purpose;
  StreamIndex index = {};
};

/// Standard normal numbers of shape [rows, ...]. Row i of the result is row first_row + i of the
/// stream. They are drawn in float32, then converted to the type in `options`.
at::Tensor normal(const RandomStream& stream, at::IntArrayRef shape,
                  const at::TensorOptions& options, std::int64_t first_row = 0);

/// Uniform numbers in [0, 1): the multiples of 2^-24. Otherwise as normal().
at::Tensor uniform(const RandomStream& stream, at::IntArrayRef shape,
                   const at::TensorOptions& options, std::int64_t first_row = 0);

/// Uniform integers in 0 .. bound-1, int64 [count] on `device`, one for each of the rows first_row,
/// first_row + 1, ... `bound` must be in 1 .. 2^31.
at::Tensor integers(const RandomStream& stream, std::int64_t count, std::int64_t bound,
                    std::int64_t first_row = 0, at::Device device = at::kCPU);

/// A random order of 0 .. count-1, int64 [count] on the CPU. ATen draws it, with derived_seed().
at::Tensor permutation(const RandomStream& stream, std::int64_t count);

/// A 64-bit seed for the generator of a library, or for streams of its own.
std::uint64_t derived_seed(const RandomStream& stream);

}  // namespace cdm
