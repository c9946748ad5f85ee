// SPDX-License-Identifier: MIT
#include "cdm/data/augment.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/rot90.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

#include <algorithm>

namespace cdm {
namespace {

/// data.shift, which is not for samples of a known density.
std::int64_t shift_of(const DataConfig& config) {
  return config.kind == DataKind::toy ? 0 : config.shift;
}

/// Whole numbers -most .. most, float32, from uniform numbers in [0, 1).
at::Tensor whole_numbers(const at::Tensor& uniform_numbers, std::int64_t most) {
  return (uniform_numbers * static_cast<double>(2 * most + 1)).floor() - static_cast<double>(most);
}

/// The images of the rows where `condition` [B] holds from `yes`, the others from `no`.
at::Tensor choose(const at::Tensor& condition, const at::Tensor& yes, const at::Tensor& no) {
  return at::where(condition.view({-1, 1, 1, 1}), yes, no);
}

/// Images [B, C, H, W] moved by whole numbers of pixels, [B]: to the right and down. Pixels of the
/// border are repeated.
at::Tensor moved(const at::Tensor& images, const at::Tensor& right, const at::Tensor& down) {
  const auto sources = [&](std::int64_t size, const at::Tensor& by) {  // [B, size]
    const at::Tensor place = at::arange(size, images.options().dtype(at::kLong));
    return (place - by.to(at::kLong).unsqueeze(1)).clamp(0, size - 1);
  };
  const std::int64_t rows = images.size(0), height = images.size(2), width = images.size(3);
  const at::Tensor of_lines = sources(height, down).view({rows, 1, height, 1});
  const at::Tensor of_columns = sources(width, right).view({rows, 1, 1, width});
  return images.gather(2, of_lines.expand(images.sizes()))
      .gather(3, of_columns.expand(images.sizes()));
}

/// Images turned by `quarters` [B] = 0..3 times 90 degrees.
at::Tensor turned(const at::Tensor& images, const at::Tensor& quarters) {
  const at::Tensor once = choose(quarters.remainder(2).eq(1), at::rot90(images, 1, {2, 3}), images);
  return choose(quarters.ge(2), at::rot90(once, 2, {2, 3}), once);
}

}  // namespace

std::int64_t augmentation_numbers(const DataConfig& config) {
  return config.augment > 0.0 && config.kind != DataKind::toy ? kAugmentationNumbers : 0;
}

AugmentedImages augment(const at::Tensor& images, const DataConfig& config, std::uint64_t seed,
                        const StreamIndex& step, std::int64_t first_row) {
  const at::TensorOptions numbers = images.options().dtype(at::kFloat);
  const auto draw = [&](Purpose purpose, std::int64_t count) {  // [B, count]
    return uniform({seed, purpose, step}, {images.size(0), count}, numbers, first_row);
  };
  const std::int64_t most = shift_of(config);
  AugmentedImages result = {images, {}};
  if (augmentation_numbers(config) == 0) {
    if (config.horizontal_flip) {
      const at::Tensor mirrored = draw(Purpose::flip, 1).lt(0.5);
      result.images = choose(mirrored, images.flip({3}), images);
    }
    if (most > 0) {
      const at::Tensor by = whole_numbers(draw(Purpose::shift, 2), most);
      result.images = moved(result.images, by.select(1, 0), by.select(1, 1));
    }
    return result;
  }
  const at::Tensor drawn = draw(Purpose::augment, kAugmentationNumbers);
  const auto happens = [&](std::int64_t i) { return drawn.select(1, i).lt(config.augment); };
  const at::Tensor mirrored = happens(0);
  const at::Tensor quarters = (drawn.select(1, 2) * 3.0).floor().add(1.0) * happens(1);
  const auto shift = [&](std::int64_t i) {
    return whole_numbers(drawn.select(1, i), most) * happens(3);
  };
  const at::Tensor right = shift(4), down = shift(5);
  result.images = choose(mirrored, images.flip({3}), images);
  result.images = moved(turned(result.images, quarters), right, down);
  const double unit = static_cast<double>(std::max<std::int64_t>(most, 1));
  result.told = at::stack(
      {mirrored.to(at::kFloat), quarters.eq(1.0).to(at::kFloat), quarters.eq(2.0).to(at::kFloat),
       quarters.eq(3.0).to(at::kFloat), right / unit, down / unit},
      1);
  return result;
}

}  // namespace cdm
