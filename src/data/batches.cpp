// SPDX-License-Identifier: MIT
#include "cdm/data/batches.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include "cdm/core/log.h"
#include "cdm/data/augment.h"

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
                         const DataConfig& config, at::Device device, std::int64_t rows_per_image)
    : images_(dataset.images),
      labels_(dataset.labels),
      batch_size_(batch_size),
      rows_per_image_(rows_per_image),
      seed_(seed),
      config_(config),
      device_(device) {
  if (!device.is_cpu()) {
    try {
      const at::Tensor labels = labels_.defined() ? labels_.to(device) : labels_;
      images_ = images_.to(device);
      labels_ = labels;
    } catch (const c10::OutOfMemoryError&) {
      log_warning("the data set does not fit on the GPU; it stays in main memory");
    }
  }
  const std::int64_t size = images_.size(0);
  // A batch that begins with the last image of an epoch touches the most epochs.
  const std::int64_t epochs = 1 + (images_per_step() + size - 2) / size;
  orders_ = at::zeros({epochs, size}, images_.options().dtype(at::kLong));
  epochs_.assign(static_cast<std::size_t>(epochs), -1);
}

void BatchStream::prepare(std::int64_t step) {
  const std::int64_t size = images_.size(0);
  const std::int64_t last = ((step + 1) * images_per_step() - 1) / size;
  for (std::int64_t epoch = step * images_per_step() / size; epoch <= last; ++epoch) {
    const std::int64_t row = epoch % orders_.size(0);
    if (epochs_[static_cast<std::size_t>(row)] == epoch) continue;
    at::Tensor order = permutation({seed_, Purpose::data_order, epoch}, size);
    if (orders_.is_cuda()) order = order.pin_memory();  // a copy from other memory would wait
    orders_[row].copy_(order, /*non_blocking=*/true);
    epochs_[static_cast<std::size_t>(row)] = epoch;
  }
}

Batch BatchStream::at_step(const StreamIndex& step, std::int64_t first, std::int64_t count) {
  if (step.is_number()) prepare(static_cast<std::int64_t>(step.number()));
  const std::int64_t size = images_.size(0);
  const at::Tensor begin =
      step.is_number() ? at::full({}, static_cast<std::int64_t>(step.number()), orders_.options())
                       : step.on_device();
  at::Tensor image = at::arange(first, first + count, orders_.options());
  if (rows_per_image_ > 1) image = image.floor_divide(rows_per_image_);
  const at::Tensor position = image + begin * images_per_step();  // in the endless sequence
  const at::Tensor row = position.floor_divide(size).remainder_(orders_.size(0));
  const at::Tensor indices =
      orders_.view({-1}).index_select(0, row.mul_(size).add_(position.remainder(size)));

  Batch batch;
  batch.images = images_.index_select(0, indices).to(device_);
  if (labels_.defined()) batch.labels = labels_.index_select(0, indices).to(device_);
  const AugmentedImages augmented = augment(batch.images, config_, seed_, step, first);
  batch.images = augmented.images;
  batch.told = augmented.told;
  return batch;
}

}  // namespace cdm
