// SPDX-License-Identifier: MIT
#include "cdm/data/batches.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/where.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <vector>

#include "cdm/core/log.h"

namespace cdm {

at::Tensor to_unit_range(const at::Tensor& pixels, at::ScalarType type) {
  if (pixels.is_floating_point()) return pixels.to(type);
  return pixels.to(type).div_(255.0).mul_(2.0).sub_(1.0);
}

at::Tensor to_model_scale(const at::Tensor& pixels, at::ScalarType type,
                          Dequantization dequantization, const RandomStream& stream,
                          std::int64_t first_row) {
  if (dequantization == Dequantization::none || pixels.is_floating_point()) {
    return to_unit_range(pixels, type);
  }
  const at::Tensor within_step =
      uniform(stream, pixels.sizes(), pixels.options().dtype(type), first_row);
  return (pixels.to(type) + within_step).div_(128.0).sub_(1.0);
}

at::Tensor to_pixels(const at::Tensor& images) {
  return images.clamp(-1.0, 1.0).add_(1.0).mul_(127.5).round_().to(at::kByte);
}

BatchStream::BatchStream(const Dataset& dataset, std::int64_t batch_size, std::uint64_t seed,
                         bool horizontal_flip, at::Device device)
    : images_(dataset.images),
      labels_(dataset.labels),
      batch_size_(batch_size),
      seed_(seed),
      horizontal_flip_(horizontal_flip),
      device_(device) {
  if (device.is_cpu()) return;
  try {
    images_ = images_.to(device);
  } catch (const c10::OutOfMemoryError&) {
    log_warning("the data set does not fit on the GPU; it stays in main memory");
  }
}

const at::Tensor& BatchStream::order_of_epoch(std::int64_t epoch) {
  if (epoch != epoch_) {
    const RandomStream stream = {seed_, Purpose::data_order, static_cast<std::uint64_t>(epoch)};
    order_ = permutation(stream, images_.size(0));
    epoch_ = epoch;
  }
  return order_;
}

Batch BatchStream::at_step(std::int64_t step, std::int64_t first, std::int64_t count) {
  const std::int64_t size = images_.size(0);
  std::vector<at::Tensor> pieces;  // more than one when an epoch ends within these rows
  for (std::int64_t taken = 0; taken < count;) {
    const std::int64_t position = step * batch_size_ + first + taken;
    const std::int64_t offset = position % size;
    const std::int64_t length = std::min(count - taken, size - offset);
    pieces.push_back(order_of_epoch(position / size).narrow(0, offset, length));
    taken += length;
  }
  const at::Tensor indices = at::cat(pieces);

  Batch batch;
  batch.images = images_.index_select(0, indices.to(images_.device())).to(device_);
  if (labels_.defined()) batch.labels = labels_.index_select(0, indices).to(device_);
  if (horizontal_flip_) {
    const RandomStream stream = {seed_, Purpose::flip, static_cast<std::uint64_t>(step)};
    const at::Tensor mirrored =
        uniform(stream, {count, 1, 1, 1}, batch.images.options().dtype(at::kFloat), first).lt(0.5);
    batch.images = at::where(mirrored, batch.images.flip({3}), batch.images);
  }
  return batch;
}

}  // namespace cdm
