// SPDX-License-Identifier: MIT
// What to tell a user whose batch does not fit into memory: how large a batch would.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <string>

namespace cdm {

/// Bytes of a device's memory: in use now, the most in use since reset(), and what there is for us.
/// All 0 where the device does not tell.
struct MemoryUse {
  std::int64_t now = 0, peak = 0, most = 0;
};
struct MemoryMeter {
  std::function<void()> reset;  // also gives back what is only kept for later
  std::function<MemoryUse()> read;
};

/// The memory of a CUDA device; of the CPU nothing is told.
MemoryMeter memory_meter(at::Device device);

/// Whether it is LibTorch's or C++'s way to say that there is no memory left.
bool is_out_of_memory(const std::exception& error);

/// How the user chooses the number of images at a time.
struct BatchOption {
  std::string name;  // "--batch", "train.micro_batch_size"
  std::int64_t images = 0;
};

/// Calls run(). When that is out of memory, calls trial(n), the same work for n images, with half
/// as many images until it fits, estimates from the memory of each image how many would fit, and
/// throws std::runtime_error with one line that says so. Other errors pass through.
void explain_memory(const BatchOption& batch, const MemoryMeter& meter,
                    const std::function<void()>& run,
                    const std::function<void(std::int64_t images)>& trial);

}  // namespace cdm
