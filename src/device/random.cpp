// SPDX-License-Identifier: MIT
#include "cdm/device/random.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randperm.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "cdm/device/cuda_kernels.h"
#include "device/fill_rows.h"
#include "device/on_device.h"
#include "device/random_launch.h"

namespace cdm {
namespace {

/// The output function of SplitMix64 (Steele et al., 2014): similar inputs give unrelated outputs.
std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

}  // namespace

PhiloxRow philox_row(const RandomStream& stream, std::int64_t row) {
  TORCH_CHECK(stream.index < (1ULL << 32) && row >= 0 && row < (1LL << 32), "random stream index ",
              stream.index, " or row ", row, " is not below 2^32");
  return {mix(stream.seed ^ mix(static_cast<std::uint64_t>(stream.purpose))),
          (stream.index << 32) | static_cast<std::uint64_t>(row)};
}

void fill_rows(float* out, std::int64_t rows, std::int64_t row_size, PhiloxRow first_row,
               Distribution distribution) {
  at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
    float numbers[kNumbersPerBlock];
    for (std::int64_t i = begin; i < end; ++i) {
      const PhiloxRow row = {first_row.key, first_row.subsequence + static_cast<std::uint64_t>(i)};
      float* const row_out = out + i * row_size;
      for (std::int64_t j = 0; j < row_size; j += kNumbersPerBlock) {
        philox_block(row, static_cast<std::uint64_t>(j / kNumbersPerBlock), distribution, numbers);
        std::copy_n(numbers, std::min<std::int64_t>(kNumbersPerBlock, row_size - j), row_out + j);
      }
    }
  });
}

namespace {

at::Tensor draw(const RandomStream& stream, at::IntArrayRef shape, const at::TensorOptions& options,
                std::int64_t first_row, Distribution distribution) {
  TORCH_CHECK(!shape.empty(), "random numbers need a first dimension of rows");
  const at::Device device = options.device();
  const bool on_device = device.is_cuda() && own_cuda_kernels();
  at::Tensor out =
      at::empty(shape, at::TensorOptions().dtype(at::kFloat).device(on_device ? device : at::kCPU));
  if (out.numel() > 0) {
    const std::int64_t rows = shape[0];
    const PhiloxRow first = philox_row(stream, first_row);
    philox_row(stream, first_row + rows - 1);  // throws when the last row is not below 2^32
    if (on_device) {
      const cuda::OnDevice there(out.device());
      cuda::fill_rows(out.data_ptr<float>(), rows, out.numel() / rows, first, distribution,
                      there.stream());
    } else {
      fill_rows(out.data_ptr<float>(), rows, out.numel() / rows, first, distribution);
    }
  }
  return out.to(options);
}

}  // namespace

at::Tensor normal(const RandomStream& stream, at::IntArrayRef shape,
                  const at::TensorOptions& options, std::int64_t first_row) {
  return draw(stream, shape, options, first_row, Distribution::normal);
}

at::Tensor uniform(const RandomStream& stream, at::IntArrayRef shape,
                   const at::TensorOptions& options, std::int64_t first_row) {
  return draw(stream, shape, options, first_row, Distribution::uniform);
}

Purpose named_purpose(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ULL;
  return static_cast<Purpose>(hash | (1ULL << 63));  // never an enumerator: those are small
}

at::Tensor integers(const RandomStream& stream, std::int64_t count, std::int64_t bound,
                    std::int64_t first_row) {
  TORCH_CHECK(bound > 0 && bound <= (1LL << 31), "integers: bound ", bound);
  at::Tensor out = at::empty({count}, at::kLong);
  auto* const values = out.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    const PhiloxRow row = philox_row(stream, first_row + i);
    std::uint32_t words[kNumbersPerBlock];
    philox_words(row, 0, words);
    // floor(r bound / 2^64) for the 64-bit random number r = words[0] 2^32 + words[1]; since bound
    // is below 2^32, no 128-bit product is needed.
    const auto factor = static_cast<std::uint64_t>(bound);
    values[i] = static_cast<std::int64_t>((words[0] * factor + ((words[1] * factor) >> 32)) >> 32);
  }
  return out;
}

at::Tensor permutation(const RandomStream& stream, std::int64_t count) {
  return at::randperm(count, at::make_generator<at::CPUGeneratorImpl>(derived_seed(stream)),
                      at::TensorOptions().dtype(at::kLong));
}

std::uint64_t derived_seed(const RandomStream& stream) {
  const PhiloxRow row = philox_row(stream, 0);
  return mix(row.key ^ mix(row.subsequence));
}

}  // namespace cdm
