// SPDX-License-Identifier: MIT
#include "cdm/device/memory_advice.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string_view>

#include "cdm/core/text.h"

namespace cdm {
namespace {

/// Calls `work`; false when it runs out of memory. The memory of `work` is free again after that.
bool fits(const std::function<void()>& work) {
  try {
    work();
    return true;
  } catch (const std::exception& error) {
    if (!is_out_of_memory(error)) throw;
  }
  return false;
}

/// How many images would fit, from the memory of the `tried` images that did fit. In
/// tried .. failed - 1, where `failed` is the number that did not fit.
std::int64_t estimate(const MemoryUse& use, std::int64_t tried, std::int64_t failed) {
  if (use.peak <= use.now) return tried;
  const double image = static_cast<double>(use.peak - use.now) / static_cast<double>(tried);
  const auto images = static_cast<std::int64_t>(static_cast<double>(use.most - use.now) / image);
  return std::clamp(images, tried, failed - 1);
}

}  // namespace

MemoryMeter memory_meter(at::Device device) {
  if (device.is_cpu()) return {[] {}, [] { return MemoryUse(); }};
  c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(device.type());
  const auto index = device.has_index() ? device.index() : c10::DeviceIndex{0};
  const auto reset = [allocator, index] {
    allocator->emptyCache();
    allocator->resetPeakStats(index);
  };
  const auto read = [allocator, index] {
    allocator->emptyCache();
    using Kind = c10::CachingAllocator::StatType;
    const auto stats = allocator->getDeviceStats(index);
    const auto& bytes = stats.allocated_bytes[static_cast<std::size_t>(Kind::AGGREGATE)];
    const auto free = static_cast<std::int64_t>(allocator->getMemoryInfo(index).first);
    return MemoryUse{bytes.current, bytes.peak, bytes.current + free};
  };
  return {reset, read};
}

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  const std::string_view what = error.what();
  // The last is what oneDNN, ATen's library of convolutions on CPUs, says.
  return what.find("DefaultCPUAllocator") != std::string_view::npos ||
         what.find("could not create a primitive") != std::string_view::npos;
}

bool run_with_room(const std::function<void()>& work, const std::function<bool()>& make_room) {
  try {
    work();
    return false;
  } catch (const std::exception& error) {
    if (!is_out_of_memory(error) || !make_room()) throw;
  }
  work();
  return true;
}

void explain_memory(const BatchOption& batch, const MemoryMeter& meter,
                    const std::function<void()>& run,
                    const std::function<void(std::int64_t images)>& trial) {
  if (fits(run)) return;
  const auto trial_fits = [&](std::int64_t images) {
    meter.reset();
    return fits([&] { trial(images); });
  };
  std::int64_t images = batch.images / 2;
  while (images > 0 && !trial_fits(images)) images /= 2;
  const std::string failed = concat("out of memory with ", batch.name, " = ", batch.images);
  if (images == 0) {
    throw std::runtime_error(
        concat(failed, ": not even one image fits; a smaller network would, or more memory"));
  }
  throw std::runtime_error(concat(failed, ": about ", estimate(meter.read(), images, batch.images),
                                  " images at a time fit; set ", batch.name, " to that or less"));
}

}  // namespace cdm
