// SPDX-License-Identifier: MIT
// Tells a user whose batch does not fit into memory how large a batch would fit.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <string>

namespace cdm {

/// A device's memory in bytes; all 0 when unknown.
struct MemoryUse {
  std::int64_t now = 0;   // in use by this process
  std::int64_t peak = 0;  // the most in use since reset()
  std::int64_t most = 0;  // what this process could use: `now` and what is free
};
struct MemoryMeter {
  std::function<void()> reset;  // also gives the allocator's cached blocks back to the device
  std::function<MemoryUse()> read;
};

/// Measures the memory of a GPU. For the CPU all numbers are 0.
MemoryMeter memory_meter(at::Device device);

/// Whether `error` means out of memory, from LibTorch or from operator new.
bool is_out_of_memory(const std::exception& error);

/// Calls work(). If that runs out of memory and make_room() could free some, calls work() again,
/// from its beginning. Returns whether it had to. make_room() says whether it freed anything.
bool run_with_room(const std::function<void()>& work, const std::function<bool()>& make_room);

/// The option or key that sets how many images are worked on at a time, and its value.
struct BatchOption {
  std::string name;  // "--batch", "train.micro_batch_size"
  std::int64_t images = 0;
};

/// Calls run(). If that runs out of memory, calls trial(n), the same work for n images, and halves
/// n until it fits. From the memory per image of that trial it estimates how many images would fit,
/// and throws std::runtime_error with one line that says so. Other errors of run() and trial() pass
/// through.
void explain_memory(const BatchOption& batch, const MemoryMeter& meter,
                    const std::function<void()>& run,
                    const std::function<void(std::int64_t images)>& trial);

}  // namespace cdm
