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

void check_below_2_32(std::uint64_t index, std::int64_t row) {
  TORCH_CHECK(index < (1ULL << 32) && row >= 0 && row < (1LL << 32), "random stream index ", index,
              " or row ", row, " is not below 2^32");
}

}  // namespace

PhiloxRow philox_row(const RandomStream& stream, std::int64_t row) {
  const std::uint64_t index = stream.index.number();
  check_below_2_32(index, row);
  return {philox_key(stream.seed, static_cast<std::uint64_t>(stream.purpose)),
          (index << 32) | static_cast<std::uint64_t>(row)};
}

PhiloxRows philox_rows(const RandomStream& stream, std::int64_t first_row, std::int64_t count) {
  if (count > 0) check_below_2_32(0, first_row + count - 1);
  if (stream.index.is_number()) return {philox_row(stream, first_row)};
  return {philox_row({stream.seed, stream.purpose}, first_row),
          stream.index.on_device().const_data_ptr<std::int64_t>()};
}

bool drawn_by_kernel(const RandomStream& stream, at::Device device) {
  const bool kernel = device.is_cuda() && own_cuda_kernels();
  if (!stream.index.is_number()) {
    const at::Device there = stream.index.on_device().device();
    TORCH_CHECK(there == device && (kernel || device.is_cpu()), "random numbers on ", device,
                " for an index on ", there, device == there ? " need own_cuda_kernels" : "");
  }
  return kernel;
}

void fill_rows(float* out, std::int64_t count, std::int64_t row_size, const PhiloxRows& rows,
               Distribution distribution) {
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    float numbers[kNumbersPerBlock];
    for (std::int64_t i = begin; i < end; ++i) {
      const PhiloxRow row = rows.row(i);
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
  const bool by_kernel = drawn_by_kernel(stream, device);
  at::Tensor out =
      at::empty(shape, at::TensorOptions().dtype(at::kFloat).device(by_kernel ? device : at::kCPU));
  if (out.numel() > 0) {
    const std::int64_t count = shape[0];
    const PhiloxRows rows = philox_rows(stream, first_row, count);
    if (by_kernel) {
      const cuda::OnDevice there(out.device());
      cuda::fill_rows(out.data_ptr<float>(), count, out.numel() / count, rows, distribution,
                      there.stream());
    } else {
      fill_rows(out.data_ptr<float>(), count, out.numel() / count, rows, distribution);
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
                    std::int64_t first_row, at::Device device) {
  TORCH_CHECK(bound > 0 && bound <= (1LL << 31), "integers: bound ", bound);
  const bool by_kernel = drawn_by_kernel(stream, device);
  at::Tensor out = at::empty(
      {count}, at::TensorOptions().dtype(at::kLong).device(by_kernel ? device : at::kCPU));
  if (count == 0) return out.to(device);
  auto* const values = out.data_ptr<std::int64_t>();
  const PhiloxRows rows = philox_rows(stream, first_row, count);
  if (by_kernel) {
    const cuda::OnDevice there(device);
    cuda::fill_integers(values, count, bound, rows, there.stream());
    return out;
  }
  for (std::int64_t i = 0; i < count; ++i) values[i] = philox_integer(rows.row(i), bound);
  return out.to(device);
}

at::Tensor permutation(const RandomStream& stream, std::int64_t count) {
  return at::randperm(count, at::make_generator<at::CPUGeneratorImpl>(derived_seed(stream)),
                      at::TensorOptions().dtype(at::kLong));
}

std::uint64_t derived_seed(const RandomStream& stream) { return seed_of(philox_row(stream, 0)); }

}  // namespace cdm
