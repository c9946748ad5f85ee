// SPDX-License-Identifier: MIT
#include "cdm/device/random_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>

#include "device/fill_rows.h"
#include "device/on_device.h"
#include "device/random_launch.h"

namespace cdm {
namespace {

constexpr std::int64_t kWord = 0xffffffff;  // the lower 32 bits of an int64

std::int64_t row_size(at::IntArrayRef shape) {
  TORCH_CHECK(!shape.empty(), "random numbers need a first dimension of rows");
  std::int64_t size = 1;
  for (const std::int64_t length : shape.slice(1)) size *= length;
  return size;
}

void check_index(std::uint64_t index) {
  TORCH_CHECK(index < (1ULL << 32), "random stream index ", index, " is not below 2^32");
}

/// The upper and the lower word of the product of `factor` and a word. A product of 64 bits is
/// negative as an int64 when its highest bit is set; its words are the same.
std::array<at::Tensor, 2> words_of_product(const at::Tensor& word, std::uint32_t factor) {
  const at::Tensor product = word * static_cast<std::int64_t>(factor);
  return {product.bitwise_right_shift(32).bitwise_and_(kWord), product.bitwise_and(kWord)};
}

}  // namespace

at::Tensor random_rows(std::uint64_t seed, Purpose purpose, std::int64_t first_row,
                       at::Device device) {
  const PhiloxRow first = philox_row({seed, purpose}, first_row);
  const at::Tensor rows = at::empty({2}, at::TensorOptions().dtype(at::kLong).device(device));
  rows[0].fill_(static_cast<std::int64_t>(first.key));
  rows[1].fill_(first_row);
  return rows;
}

at::Tensor random_rows(const RandomStream& stream, Purpose purpose, std::int64_t first_row,
                       at::Device device) {
  if (!drawn_by_kernel(stream, device)) {
    const std::uint64_t seed = seed_of(philox_rows(stream, 0, 1).row(0));
    return random_rows(seed, purpose, first_row, device);
  }
  at::Tensor rows = at::empty({2}, at::TensorOptions().dtype(at::kLong).device(device));
  const cuda::OnDevice there(device);
  cuda::write_random_rows(rows.data_ptr<std::int64_t>(), philox_rows(stream, 0, 1),
                          static_cast<std::uint64_t>(purpose), first_row, there.stream());
  return rows;
}

at::Tensor uniform(const at::Tensor& rows, std::uint64_t index, at::IntArrayRef shape) {
  if (!rows.is_cpu()) return uniform_by_tensors(rows, index, shape);
  check_index(index);
  const std::int64_t size = row_size(shape);
  const auto* const identity = rows.const_data_ptr<std::int64_t>();
  const std::int64_t first = identity[1];
  TORCH_CHECK(first >= 0 && first + shape[0] <= (1LL << 32), "random stream row ",
              first + shape[0] - 1, " is not below 2^32");
  at::Tensor out = at::empty(shape, at::kFloat);
  fill_rows(
      out.data_ptr<float>(), shape[0], size,
      {static_cast<std::uint64_t>(identity[0]), (index << 32) | static_cast<std::uint64_t>(first)},
      Distribution::uniform);
  return out;
}

// philox_words() and philox_block() of philox_numbers.h, with a tensor for each word of the counter
// and of the key.
at::Tensor uniform_by_tensors(const at::Tensor& rows, std::uint64_t index, at::IntArrayRef shape) {
  check_index(index);
  const std::int64_t size = row_size(shape);
  const std::int64_t blocks = (size + kNumbersPerBlock - 1) / kNumbersPerBlock;
  TORCH_CHECK(blocks <= (1LL << 32), "a row has more than 2^34 random numbers");
  const at::Tensor row = (at::arange(shape[0], rows.options()) + rows[1]).unsqueeze(1);
  const at::Tensor zero = at::full({1, 1}, 0, rows.options());
  std::array<at::Tensor, kNumbersPerBlock> words = {
      at::arange(blocks, rows.options()).unsqueeze(0), zero, row.bitwise_and(kWord),
      at::full({1, 1}, static_cast<std::int64_t>(index), rows.options())};
  at::Tensor key0 = rows[0].bitwise_and(kWord);
  at::Tensor key1 = rows[0].bitwise_right_shift(32).bitwise_and_(kWord);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const auto [upper0, lower0] = words_of_product(words[0], kPhiloxMultiply0);
    const auto [upper1, lower1] = words_of_product(words[2], kPhiloxMultiply1);
    words = {upper1.bitwise_xor(words[1]).bitwise_xor(key0), lower1,
             upper0.bitwise_xor(words[3]).bitwise_xor(key1), lower0};
    key0 = (key0 + static_cast<std::int64_t>(kPhiloxBump0)).bitwise_and_(kWord);
    key1 = (key1 + static_cast<std::int64_t>(kPhiloxBump1)).bitwise_and_(kWord);
  }
  const at::Tensor drawn = at::stack(at::TensorList(words.data(), words.size()), 2);
  return drawn.bitwise_right_shift(8)
      .to(at::kFloat)
      .mul_(kPhiloxUnit)
      .flatten(1)
      .narrow(1, 0, size)
      .reshape(shape);
}

}  // namespace cdm
