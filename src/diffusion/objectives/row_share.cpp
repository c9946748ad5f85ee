// SPDX-License-Identifier: MIT
#include "diffusion/objectives/row_share.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/where.h>

#include <cmath>

namespace cdm {
namespace {

constexpr std::int64_t kOutside = std::int64_t{1} << 31;  // the number of the first row outside

/// Added before rounding down: a product that should be a whole number may lie a little below it.
/// Other products of a share n / B (B up to 2^20) are farther from whole numbers.
constexpr double kRounding = 1.0 / (1 << 22);

}  // namespace

at::Tensor RowShare::places(const RowDraws& draws, double share) {
  const at::Tensor row = draws.numbers();
  const auto inside_before = [share](const at::Tensor& rows) {
    return rows.to(at::kDouble).mul_(share).add_(kRounding).floor_().to(at::kLong);
  };
  const at::Tensor before = inside_before(row);
  return at::where(inside_before(row + 1) > before, before, row - before + kOutside);
}

RowShare::RowShare(const at::Tensor& places, double share) {
  const std::int64_t rows = places.size(0);
  const double expected = share * static_cast<double>(rows);
  const auto least = static_cast<std::int64_t>(std::floor(expected + kRounding));
  const auto most = static_cast<std::int64_t>(std::ceil(expected - kRounding));
  common_ = most - least;
  const at::Tensor sorted = places.argsort();  // rows of the share first, then the others
  inside_ = sorted.narrow(0, 0, most);
  outside_ = sorted.narrow(0, least, rows - least);
  const at::Tensor in_order = places.index_select(0, sorted);
  counts_ = in_order.narrow(0, 0, most).lt(kOutside);
  first_inside_ = in_order.select(0, 0);
  // Counted from the last, because the first one may belong to the share.
  first_outside_ = in_order.select(0, rows - 1) - (rows - least - 1);
  order_ = sorted.argsort();
}

at::Tensor RowShare::together(const at::Tensor& inside, const at::Tensor& outside) const {
  const std::int64_t least = inside.size(0) - common_;
  const std::int64_t others = outside.size(0) - common_;
  std::vector<at::Tensor> parts = {inside.narrow(0, 0, least), outside.narrow(0, common_, others)};
  if (common_ > 0) {
    const at::Tensor both =
        at::where(counts_.select(0, least), inside.select(0, least), outside.select(0, 0));
    parts.insert(parts.begin() + 1, both.unsqueeze(0));
  }
  return at::cat(parts).index_select(0, order_);
}

}  // namespace cdm
